"""Making the jobs of schedules whose time has come: each tick at most once, whoever else tries."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import DurationField, Value
from django.db.models.functions import Now

from jobs import registry
from jobs.errors import Invalid, QueueError
from jobs.events.ledger import ledger
from jobs.failpoints import failpoint
from jobs.lookup import one
from jobs.models import Job
from jobs.models_schedules import Overlap, Schedule, ScheduleTick, TickOutcome
from jobs.operations.enqueue import enqueue


def fire(schedule_id: UUID) -> list[ScheduleTick]:
    """Deal with the due ticks of one schedule, in one transaction; what became of them, the earliest first.

    Ticks no later than ``schedule_grace_seconds`` run, and of all that are due the latest ``catch_up``; the others
    are missed. A schedule that another scheduler deals with or has dealt with, or that was paused, gives nothing: its
    row is locked and looked at again, and the jobs, the ticks and the time of the next one are written together.
    """
    with ledger():
        due = Schedule.objects.due().in_force().with_clock()
        # A scheduler that was stopped in here holds its row; the others go on with the rest.
        schedule = due.select_for_update(skip_locked=True).filter(pk=schedule_id).first()
        if schedule is None:
            return []
        run, missed = _sorted_out(schedule, schedule.now)
        ticks = [_missed(schedule, missed)] if missed is not None else []
        ticks += [_run(schedule, at) for at in run]
        Schedule.objects.filter(pk=schedule.pk).update(next_at=schedule.tick_after(schedule.now))
        failpoint("in_fire")
    return ticks


def _sorted_out(schedule: Schedule, now: datetime) -> tuple[list[datetime], datetime | None]:
    """The due ticks to run, in order, and the last one before them that is not."""
    run: list[datetime] = []
    on_time = now - timedelta(seconds=settings.CONFIG.schedule_grace_seconds)
    for at in schedule.ticks_back_from(now):
        if len(run) >= (settings.CONFIG.schedule_catch_up_limit if at >= on_time else schedule.catch_up):
            return run[::-1], at
        run.append(at)
    return run[::-1], None


def _missed(schedule: Schedule, at: datetime) -> ScheduleTick:
    return _once(schedule, at, outcome=TickOutcome.MISSED)


def _run(schedule: Schedule, at: datetime) -> ScheduleTick:
    tick = schedule.ticks.filter(at=at, manual=False).first()
    if tick is not None:
        return tick
    try:
        if schedule.overlap == Overlap.SKIP and open_job(schedule) is not None:
            return _once(schedule, at, outcome=TickOutcome.OVERLAPPED)
        unique = identity(schedule) or f"schedule:{schedule.pk}:{at.isoformat()}"
        return _once(schedule, at, job=make_job(schedule, unique=unique))
    except QueueError as error:
        return _once(schedule, at, outcome=TickOutcome.REFUSED, detail=str(error))


def _once(schedule: Schedule, at: datetime, **said: Any) -> ScheduleTick:
    return ScheduleTick.objects.get_or_create(schedule=schedule, at=at, manual=False, defaults=said)[0]


def make_job(schedule: Schedule, **options: Any) -> Job:
    """Enqueue what the schedule says. ``Invalid`` if there is no such job type any more, or it refuses the payload."""
    return enqueue(job_type(schedule.job_type), schedule.payload, priority=schedule.priority, **options)


def job_type(name: str) -> registry.JobType:
    """The job type of this name; ``Invalid`` if the code has none."""
    try:
        return registry.job_type(name)
    except KeyError:
        raise Invalid("the schedule is wrong", fields={"job_type": f"there is no job type {name!r}"}) from None


def identity(schedule: Schedule) -> str:
    """What all jobs share of a schedule that never has two open ones; empty for others."""
    return f"schedule:{schedule.pk}" if schedule.overlap == Overlap.SKIP else ""


def open_job(schedule: Schedule) -> Job | None:
    """The job that has not ended of a schedule that never has two."""
    return one(Job.objects.open().filter(type=schedule.job_type, unique_key=identity(schedule)))


def forget(limit: int) -> int:
    """Delete some of the ticks that are older than ``schedule_keep_seconds``; how many."""
    keep = Value(timedelta(seconds=settings.CONFIG.schedule_keep_seconds), output_field=DurationField())
    old = ScheduleTick.objects.filter(at__lt=Now() - keep).order_by("at").values("pk")[:limit]
    return ScheduleTick.objects.filter(pk__in=list(old.values_list("pk", flat=True))).delete()[0]
