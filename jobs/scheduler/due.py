"""Scheduled jobs whose time has come: a new one takes its place in its lane, a returning one keeps it."""

from __future__ import annotations

from collections.abc import Sequence

from django.conf import settings
from django.db.models import Exists, OuterRef, Subquery
from django.db.models.functions import Now

from jobs.clock import until_due
from jobs.events.ledger import Ledger, ledger
from jobs.models import Job
from jobs.models_dependencies import Dependency, IfDead
from jobs.operations.apart import in_halves
from jobs.operations.transitions import (
    Move,
    apply,
    cancelled,
    doomed,
    lock,
    release_pending,
    take_places,
    waits_for_others,
)
from jobs.states import FINAL, OPEN, Status

BATCH = 200


def run_released() -> float:
    """Let run, or call off, jobs whose last dependency ended and was not followed up: its process died before that."""
    itself = Job.objects.filter(pk=OuterRef("job"))
    lane, place = (Subquery(itself.values(name)) for name in ("lane", "place"))
    pending = Dependency.objects.its_status(Status.PENDING).alias(lane=lane, place=place)
    doomed = pending.filter(if_dead=IfDead.CANCEL).on_status(*FINAL - {Status.COMPLETED})
    others = Dependency.objects.filter(job=OuterRef("job")).on_status(*OPEN)
    ahead = Job.objects.open().filter(lane=OuterRef("lane"), place__lt=OuterRef("place"))
    free = pending.filter(~Exists(others), ~Exists(ahead))
    found = {job for released in (doomed, free) for job in released.values_list("job", flat=True)[:BATCH]}
    in_halves(sorted(found), _release)
    return settings.CONFIG.tick_seconds


def _release(ids: Sequence[int]) -> set[int]:
    lanes = Job.objects.filter(pk__in=ids, lane__isnull=False).values_list("lane", flat=True)
    with ledger(lanes=set(lanes)) as book:
        release_pending(book, ids)
    return set(ids)


def run_due() -> float:
    """Let one batch run; seconds until the next look."""
    scheduled = Job.objects.filter(status=Status.SCHEDULED)
    seconds = until_due(scheduled, "scheduled_at")
    due = scheduled.filter(scheduled_at__lte=Now()).order_by("scheduled_at")
    found = list(due.values_list("pk", "lane_id")[:BATCH])
    return 0.0 if in_halves(found, _let_run) and len(found) == BATCH else seconds


def _let_run(found: Sequence[tuple[int, int | None]]) -> set[int]:
    """``found``: the jobs' ids and their lanes'."""
    with ledger(lanes={lane for _, lane in found if lane is not None}) as book:
        jobs = [job for job in lock([pk for pk, _ in found]).values() if job.status == Status.SCHEDULED]
        lost, held = doomed(jobs), waits_for_others(jobs)
        placed: set[int] = set()
        runnable = [_runnable(book, job, placed, blocked=job.pk in held) for job in jobs if job.pk not in lost]
        apply(book, [*runnable, *(cancelled(job) for job in jobs if job.pk in lost)])
        return {job.pk for job in jobs}


def _runnable(book: Ledger, job: Job, placed: set[int], *, blocked: bool) -> Move:
    """``placed``: the lanes in which one of this batch has just taken its place, which no query sees yet."""
    if job.lane_id is None or job.place is not None:
        return Move(job, Status.PENDING, "job.pending") if blocked else Move(job, Status.QUEUED, "job.queued")
    ahead = take_places(book, [job]) or blocked or job.lane_id in placed
    placed.add(job.lane_id)
    to, event = (Status.PENDING, "job.pending") if ahead else (Status.QUEUED, "job.queued")
    return Move(job, to, event, changes={"place": job.place})
