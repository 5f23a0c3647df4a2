"""What became of claimed jobs, written as a set.

A completer hands over whatever ended while its last commit ran. Everything is bound to the claim's token: an outcome
whose claim is over is dropped and reported, and one bad row does not fail its neighbours.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import DatabaseError
from django.utils import timezone

from jobs import backoff
from jobs.events.ledger import ledger
from jobs.failpoints import failpoint
from jobs.models import Job
from jobs.operations.leases import held
from jobs.operations.transitions import Move, apply, cancelled, lock
from jobs.states import Outcome, Status

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Ended:
    """One claim's end. ``error`` (``{"code", "detail"}``) marks a failed attempt.

    ``retry`` false: no further attempt whatever is left; ``retry_seconds``: when the next comes, ``None`` for backoff.
    ``innocent``: the database failed it, so it costs no attempt. ``cancelled``: it stopped because it was called off.
    """

    job_id: int
    token: int
    lane_id: int | None
    parent_id: int | None
    result: Any = None
    rejected: bool = False
    error: dict[str, Any] | None = None
    traceback: str = ""
    retry: bool = True
    retry_seconds: float | None = None
    innocent: bool = False
    cancelled: bool = False


def settle(batch: Sequence[Ended]) -> set[int]:
    """Write these outcomes; the ids of the jobs that were still held. The others had lost their lease.

    On a database error the batch is halved until the bad row stands alone; that one is recorded as failed.
    """
    try:
        return _settle(batch)
    except DatabaseError as error:
        if len(batch) > 1:
            middle = len(batch) // 2
            return settle(batch[:middle]) | settle(batch[middle:])
        return _settle_unstorable(batch[0], error)


def _settle_unstorable(ended: Ended, error: DatabaseError) -> set[int]:
    """Once more, in case the error was the connection's; then as a failure that can be stored."""
    try:
        return _settle([ended])
    except DatabaseError:
        if ended.error is not None:
            raise
        logger.exception("the result of job %s cannot be stored", ended.job_id)
        failure = {
            "code": "unstorable_result",
            "detail": f"the database refused the result: {type(error).__name__}",
        }
        return _settle(
            [
                Ended(
                    job_id=ended.job_id,
                    token=ended.token,
                    lane_id=ended.lane_id,
                    parent_id=ended.parent_id,
                    error=failure,
                    retry=False,
                )
            ]
        )


def _settle(batch: Sequence[Ended]) -> set[int]:
    by_id = {ended.job_id: ended for ended in batch}
    lanes = {ended.lane_id for ended in batch if ended.lane_id is not None}
    with ledger(lanes=lanes) as book:
        rows = lock([*by_id, *(ended.parent_id for ended in batch if ended.parent_id is not None)])
        mine = [rows[job_id] for job_id, ended in by_id.items() if job_id in rows and held(rows[job_id], ended.token)]
        apply(book, [_move(job, by_id[job.pk]) for job in mine], parents=rows)
        failpoint("in_settle")
    failpoint("after_settle")
    return {job.pk for job in mine}


def _move(job: Job, ended: Ended) -> Move:
    if ended.cancelled:
        return cancelled(job)
    if ended.error is None:
        outcome = Outcome.REJECTED if ended.rejected else Outcome.DONE
        return Move(
            job,
            Status.COMPLETED,
            "job.completed",
            changes={"result": ended.result, "outcome": outcome, "error": None},
        )
    if job.cancel_requested_at is not None:
        return cancelled(job)
    told = {"attempt": job.attempt, **ended.error, "traceback": ended.traceback}
    if not ended.innocent and (not ended.retry or job.attempt >= job.max_attempts):
        return Move(job, Status.DEAD, "job.dead", told, {"error": ended.error})
    seconds = backoff.delay_seconds(job.attempt) if ended.retry_seconds is None else ended.retry_seconds
    counted = {"lease_losses": job.lease_losses + 1} if ended.innocent else {"attempt": job.attempt + 1}
    due = timezone.now() + timedelta(seconds=seconds)
    return Move(
        job,
        Status.SCHEDULED,
        "job.retried",
        told | {"after_seconds": round(seconds, 3)},
        {"error": ended.error, "scheduled_at": due, **counted},
    )
