"""Jobs that waited too long for their first start."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models.functions import Now

from jobs.clock import until_due
from jobs.events.ledger import ledger
from jobs.models import Job
from jobs.operations.apart import in_halves
from jobs.operations.transitions import Move, apply, lock
from jobs.states import Status

BATCH = 200


def run_expiry() -> float:
    """End one batch; seconds until the next look."""
    waiting = Job.objects.not_begun()
    seconds = until_due(waiting, "expires_at")
    late = waiting.filter(expires_at__lte=Now()).order_by("expires_at")
    found = list(late.values_list("pk", "lane_id", "parent_id")[:BATCH])
    return 0.0 if in_halves(found, _expire) and len(found) == BATCH else seconds


def _expire(found: Sequence[tuple[int, int | None, int | None]]) -> set[int]:
    """``found``: the jobs' ids, their lanes' and their parents'."""
    error = {"code": "expired", "detail": "the job was not started in time"}
    with ledger(lanes={lane for _, lane, _ in found if lane is not None}) as book:
        rows = lock([pk for pk, _, _ in found] + [parent for *_, parent in found if parent is not None])
        jobs = [rows[pk] for pk, *_ in found if pk in rows and rows[pk].started_at is None and not rows[pk].ended]
        moves = [Move(job, Status.EXPIRED, "job.expired", changes={"error": error}) for job in jobs]
        apply(book, moves, parents=rows)
        return {job.pk for job in jobs}
