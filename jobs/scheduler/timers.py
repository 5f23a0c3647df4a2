"""Jobs that sleep, or wait for an answer, and whose time is up."""

from __future__ import annotations

from jobs.clock import until_due
from jobs.models_waits import Wait
from jobs.operations.answers import wake

BATCH = 200


def run_timers() -> float:
    """Wake one batch; seconds until the next look."""
    seconds = until_due(Wait.objects.open(), "due_at")
    return 0.0 if wake(BATCH) == BATCH else seconds
