"""Schedules tick: the jobs of those whose time has come are made."""

from __future__ import annotations

import logging

from jobs import schedules
from jobs.clock import until_due
from jobs.errors import QueueError
from jobs.models_schedules import Schedule, TickOutcome
from jobs.operations import ticks
from jobs.operations.apart import one_by_one
from jobs.operations.schedules import adopt, retire

logger = logging.getLogger(__name__)

BATCH = 100
FORGET_BATCH = 500


class Repeats:
    """Stores what the code declares before its first look; a schedule that fails doesn't stop the others."""

    def __init__(self) -> None:
        self._adopted = False

    def __call__(self) -> float:
        """Deal with one batch of schedules; seconds until the next look."""
        if not self._adopted:
            _adopt_declared()
            self._adopted = True
        seconds = until_due(Schedule.objects.in_force(), "next_at")
        ticked = one_by_one(Schedule.objects.due().in_force()[:BATCH], _fire)
        more = ticked == BATCH or ticks.forget(FORGET_BATCH) == FORGET_BATCH
        return 0.0 if more else seconds


def _adopt_declared() -> None:
    declared = schedules.declared()
    for name, spec in declared.items():
        try:
            adopt(name=name, spec=spec)
        except QueueError as error:
            logger.error("schedule %s is not taken over from the code: %s", name, error.as_dict())
    retire(names=list(declared))


def _fire(schedule: Schedule) -> bool:
    """Whether it was dealt with."""
    made = ticks.fire(schedule.pk)
    for tick in made:
        if tick.outcome == TickOutcome.ENQUEUED:
            logger.info("schedule %s of %s made %s", schedule, tick.at, tick.job)
        else:
            logger.warning("schedule %s of %s: %s %s", schedule, tick.at, tick.get_outcome_display(), tick.detail)
    return bool(made)
