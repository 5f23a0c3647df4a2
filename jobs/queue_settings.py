"""What holds for the jobs of a queue: its row in the admin, where it says something, else the environment.

A process asks at most every ``queue_settings_seconds``, so a change holds everywhere after that, without a restart.
"""

from __future__ import annotations

from django.conf import settings

from jobs.kept import Kept
from jobs.models_metrics import QueueSettings


def _read() -> dict[str, QueueSettings]:
    return {row.queue: row for row in QueueSettings.objects.all()}


_rows: Kept[dict[str, QueueSettings]] = Kept(_read, lambda: settings.CONFIG.queue_settings_seconds)


def of(queue: str) -> QueueSettings:
    """What is set for this queue; every field of a queue without a row is empty."""
    return _rows.read().get(queue) or QueueSettings(queue=queue)


def forget() -> None:
    """Ask the database next time: in this process a change holds at once."""
    _rows.forget()
