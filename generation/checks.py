"""What is wrong with this room's settings, said before anything runs."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from generation.scripted.faults import parse_faults


@register()
def scripted_faults_are_known(**_: Any) -> list[CheckMessage]:
    """SCRIPTED_FAULTS can be read."""
    try:
        parse_faults(settings.CONFIG.scripted_faults)
    except ValueError as error:
        hint = "For example SCRIPTED_FAULTS=refuse@forbidden,slow:0.1"
        return [Error(f"Wrong setting: SCRIPTED_FAULTS: {error}", hint=hint, id="generation.E001")]
    return []
