"""More things that never lie around while a scheduler and workers run; checked with ``jobs.invariants``."""

from __future__ import annotations

from django.db.models import Count, Exists, F, OuterRef, Q
from django.db.models.functions import Now

from jobs import limits
from jobs.invariants import MOST_ROWS, Row, ago, holders
from jobs.models import Job, Worker
from jobs.models_events import JobEvent
from jobs.models_limits import Limit
from jobs.models_schedules import Schedule
from jobs.operations import permits
from jobs.pauses import Pauses
from jobs.states import BIRTHS, Status


def no_tick_is_overdue() -> list[Row]:
    """No schedule that is in force has a tick whose time was up long ago."""
    late = Schedule.objects.in_force().filter(next_at__lt=ago())
    return [dict(row) for row in late.values("name", "next_at")[:MOST_ROWS]]


def nobody_waits_for_the_idle() -> list[Row]:
    """Where a worker has free slots and has been given nothing for long, nothing has been queued for long."""
    pauses = Pauses()
    free = Worker.objects.filter(ended_at=None, lease_until__gt=Now(), started_at__lt=ago())
    free = free.annotate(busy=Count("jobs", filter=Q(jobs__status=Status.RUNNING)))
    idle = free.filter(busy__lt=F("slots") - F("lost_slots")).exclude(name__in=pauses.workers())
    served = {queue for queues in idle.values_list("queues", flat=True) for queue in queues}
    busy = set(Job.objects.filter(queue__in=served, started_at__gt=ago()).values_list("queue", flat=True).distinct())
    waiting = Job.objects.filter(status=Status.QUEUED, held_back_by="", queued_at__lt=ago())
    stuck = waiting.filter(queue__in=served - busy - pauses.queues())
    return [dict(row) for row in stuck.values("id", "queue", "queued_at")[:MOST_ROWS]]


def nobody_is_held_back_for_nothing() -> list[Row]:
    """Nobody is held back for long by a limit of which nothing was heard for as long and that has a permit free.

    But in queues that are paused, or where others are about to ask for it.
    """
    ready = Job.objects.filter(status=Status.QUEUED, held_back_by="", queue=OuterRef("queue"))
    held_back = Job.objects.exclude(held_back_by="").filter(~Exists(ready), queued_at__lt=ago())
    held_back = held_back.exclude(queue__in=Pauses().queues())
    names = held_back.values_list("held_back_by", flat=True).distinct()
    idle = [limit.key for limit in Limit.objects.filter(key__in=names, enforced_since__lt=ago()) if _idle(limit)]
    return [dict(row) for row in held_back.filter(held_back_by__in=idle).values("id", "held_back_by")[:MOST_ROWS]]


def _idle(limit: Limit) -> bool:
    """Whether one more could be let in, by what the scheduler knows of the limit, and has been able to for long."""
    if limit.enforced != limits.most(limit.key) or holders(limit.key) >= (limit.enforced or 0):
        return False
    jobs = Job.objects.filter(permits.bounded_by(limit.key))
    return not JobEvent.objects.filter(job__in=jobs, at__gt=ago()).exclude(event__in=BIRTHS.values()).exists()


LIVENESS = (no_tick_is_overdue, nobody_waits_for_the_idle, nobody_is_held_back_for_nothing)
