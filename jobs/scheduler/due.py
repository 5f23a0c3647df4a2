"""Scheduled jobs whose time has come: a new one takes its place in its lane, a returning one keeps it."""

from __future__ import annotations

from django.conf import settings
from django.db.models.functions import Now

from jobs.events.ledger import Ledger, ledger
from jobs.models import Job
from jobs.operations.transitions import Move, apply, lock, take_place
from jobs.states import Status

BATCH = 200


def run_due() -> float:
    """Let one batch run; seconds until the next look."""
    due = Job.objects.filter(status=Status.SCHEDULED, scheduled_at__lte=Now()).order_by("scheduled_at")
    found = list(due.values_list("pk", "lane_id")[:BATCH])
    if not found:
        return settings.CONFIG.tick_seconds
    with ledger(lanes={lane for _, lane in found if lane is not None}) as book:
        jobs = [job for job in lock([pk for pk, _ in found]).values() if job.status == Status.SCHEDULED]
        apply(book, [_runnable(book, job) for job in jobs])
    return 0.0 if len(found) == BATCH else settings.CONFIG.tick_seconds


def _runnable(book: Ledger, job: Job) -> Move:
    if job.lane_id is None or job.place is not None:
        return Move(job, Status.QUEUED, "job.queued")
    ahead = take_place(book, job)
    to, event = (Status.PENDING, "job.pending") if ahead else (Status.QUEUED, "job.queued")
    return Move(job, to, event, changes={"place": job.place})
