"""A virtual clock: time passes by moving everything that is due later towards now."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import DurationField, ExpressionWrapper, F, Min, Value
from django.db.models.functions import Now

from jobs.models import Job, Wait
from jobs.models_waits import WaitQuerySet
from jobs.scheduler.due import run_due
from jobs.scheduler.expiry import run_expiry
from jobs.scheduler.timers import run_timers
from jobs.states import OPEN

A_MOMENT = timedelta(milliseconds=1)


def pass_time(time: timedelta) -> None:
    """Let so much time pass for the queue: who slept so long wakes, what nobody answered so long times out.

    Handlers that read a clock in a step still read the machine's.
    """
    earlier = Value(time, output_field=DurationField())
    Job.objects.filter(status__in=OPEN).update(
        scheduled_at=F("scheduled_at") - earlier, expires_at=F("expires_at") - earlier
    )
    _open().update(due_at=F("due_at") - earlier)
    run_due()
    run_expiry()
    run_timers()


def pass_to_next() -> bool:
    """Let time pass until the next sleeper wakes or the next wait times out; ``False`` if nobody waits for a time."""
    left = ExpressionWrapper(F("due_at") - Now(), output_field=DurationField())
    first = _open().aggregate(left=Min(left))["left"]
    if first is None:
        return False
    pass_time(max(first, timedelta(0)) + A_MOMENT)
    return True


def _open() -> WaitQuerySet:
    return Wait.objects.open().filter(due_at__isnull=False)
