"""Jobs that sleep, or wait for an answer, and whose time is up."""

from __future__ import annotations

from django.conf import settings

from jobs.operations.answers import wake

BATCH = 200


def run_timers() -> float:
    """Wake one batch; seconds until the next look."""
    return 0.0 if wake(BATCH) == BATCH else settings.CONFIG.tick_seconds
