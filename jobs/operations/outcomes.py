"""What became of claimed jobs, written as a set.

A completer hands over whatever ended while its last commit ran. Everything is bound to the claim's token: an outcome
whose claim is over is dropped and reported, and one bad row does not fail its neighbours.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import Enum, auto
from typing import Any

from django.conf import settings
from django.utils import timezone

from jobs import backoff, queue_settings
from jobs.connections import UNREACHABLE
from jobs.events.ledger import Ledger, ledger
from jobs.failpoints import failpoint
from jobs.fingerprints import fingerprint
from jobs.models import Job
from jobs.operations import controls, hot, step_events
from jobs.operations.apart import in_halves
from jobs.operations.leases import held
from jobs.operations.transitions import Move, apply, cancelled, complete, lock
from jobs.states import Outcome, Status

logger = logging.getLogger(__name__)


class How(Enum):
    """How a claim ended, which decides what comes of the job."""

    DONE = auto()
    REJECTED = auto()  # done, and the answer is no
    FAILED = auto()  # another attempt if any is left
    HOPELESS = auto()  # no attempt would help
    INNOCENT = auto()  # the database failed it: the same attempt again
    SNOOZED = auto()  # it asked to run later: the same attempt again
    STRUCK = auto()  # it killed the process it ran in: the same attempt again, until it has done so too often
    CANCELLED = auto()


OUTCOMES = {How.DONE: Outcome.DONE, How.REJECTED: Outcome.REJECTED}
"""The ways to come to a result."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """One claim's end. ``error`` is ``{"code", "detail"}``; ``after_seconds`` until the next attempt, else backoff.

    ``alone``: the job has no scope, lane, parent or workflow whom its end could concern.
    """

    job_id: int
    token: int
    lane_id: int | None
    parent_id: int | None
    alone: bool = False
    how: How = How.DONE
    result: Any = None
    error: dict[str, Any] = field(default_factory=dict)
    traceback: str = ""
    after_seconds: float | None = None


def settle(batch: Sequence[Ended]) -> set[int]:
    """Write these outcomes; the ids of the jobs that were still held. The others had lost their lease.

    What ``UNREACHABLE`` names is raised: the database is away, which is no row's fault. Who tries again what this left
    calls the two parts, each of which is stored as a whole or not at all.
    """
    mine = settle_alone(batch)
    return mine | settle_together([ended for ended in batch if ended.job_id not in mine])


def settle_alone(batch: Sequence[Ended]) -> set[int]:
    """In one trip, those of these outcomes that end nothing else. What is left is for ``settle_together``."""
    plain = [ended for ended in batch if ended.alone and ended.how in OUTCOMES]
    if not plain:
        return set()
    failpoint("in_settle")
    try:
        with ledger(alone=True) as book:
            mine = complete(book, _done(plain), alone=True)
    except UNREACHABLE:
        raise
    except Exception:  # one of them; the other part finds out which, and says so
        return set()
    failpoint("after_settle")
    return {job.pk for job in mine}


def settle_together(batch: Sequence[Ended]) -> set[int]:
    """Outcomes of any kind, in one transaction.

    One that can't be stored, which the database refuses or a defect keeps from it, is recorded as failed.
    """
    return in_halves(batch, _settle_together, _settle_unstorable)


def _settle_unstorable(ended: Ended, error: Exception) -> set[int]:
    """Once more, in case another transaction was in its way; then as a failure that can be stored: a result as a dead
    job, any other end as what it is, but without its words.

    If not even that is taken the claim is left to the worker's pulse, which hands back what it does not know: there is
    a defect, and others' ends must not wait for it.
    """
    try:
        return _settle_together([ended])
    except UNREACHABLE:
        raise
    except Exception:
        logger.exception("the end of job %s cannot be stored", ended.job_id)
    what, how = ("result", How.HOPELESS) if ended.how in OUTCOMES else ("error", ended.how)
    failure = {"code": f"unstorable_{what}", "detail": f"the {what} could not be stored: {type(error).__name__}"}
    try:
        return _settle_together([replace(ended, how=how, result=None, error=failure, traceback="")])
    except UNREACHABLE:
        raise
    except Exception:
        logger.exception("job %s cannot be ended at all; it will run again", ended.job_id)
        return set()


def _done(ends: Sequence[Ended]) -> list[hot.Done]:
    return [hot.Done(ended.job_id, ended.token, OUTCOMES[ended.how], ended.result) for ended in ends]


def _settle_together(batch: Sequence[Ended]) -> set[int]:
    lanes = {ended.lane_id for ended in batch if ended.lane_id is not None}
    plain: list[Ended] = []
    others: list[Ended] = []
    for ended in batch:
        (plain if ended.how in OUTCOMES and ended.parent_id is None else others).append(ended)
    with ledger(lanes=lanes) as book:
        mine = {job.pk for job in complete(book, _done(plain))} if plain else set()
        parents = lock([ended.parent_id for ended in others if ended.parent_id is not None])
        mine |= _apply(book, {ended.job_id: ended for ended in others}, parents)
        failpoint("in_settle")
    controls.end_waiting(parents.values())
    failpoint("after_settle")
    return mine


def _apply(book: Ledger, ends: dict[int, Ended], parents: dict[int, Job]) -> set[int]:
    """The ends with more consequences than their own."""
    rows = lock(ends) if ends else {}
    mine = [rows[job_id] for job_id, ended in ends.items() if job_id in rows and held(rows[job_id], ended.token)]
    step_events.fail(book, [(job, ends[job.pk].error.get("detail", "")) for job in mine if _tried(ends[job.pk])])
    apply(book, [_move(job, ends[job.pk]) for job in mine], parents=parents)
    return {job.pk for job in mine}


def _tried(ended: Ended) -> bool:
    """Whether the attempt came to an end of its own, and so what it was at."""
    return ended.how in (How.DONE, How.REJECTED, How.FAILED, How.HOPELESS)


def _move(job: Job, ended: Ended) -> Move:
    match ended.how:
        case How.DONE | How.REJECTED:
            changes = {"result": ended.result, "outcome": OUTCOMES[ended.how], "error": None}
            return Move(job, Status.COMPLETED, "job.completed", changes=changes)
        case How.CANCELLED:
            return cancelled(job)
    if job.cancel_requested_at is not None:
        return cancelled(job)
    match ended.how:
        case How.SNOOZED:
            return _later(job, ended, "job.snoozed", {})
        case How.INNOCENT:
            return _later(job, ended, "job.retried", {"lease_losses": job.lease_losses + 1})
        case How.STRUCK:
            return _struck(job, ended)
        case How.FAILED if job.attempt < job.max_attempts:
            return _later(job, ended, "job.retried", {"attempt": job.attempt + 1})
    return _dead(job, ended)


def _struck(job: Job, ended: Ended) -> Move:
    """The first time it goes on at once: whoever killed the process, it need not have been the job."""
    strikes = job.strikes + 1
    if strikes >= settings.CONFIG.poison_strikes:
        detail = f"the job killed the process it ran in {strikes} times"
        return _dead(job, replace(ended, error={"code": "poison", "detail": detail}), strikes=strikes)
    if strikes > 1:
        return _later(job, ended, "job.retried", {"strikes": strikes})
    told = _told(job, ended) | {"after_seconds": 0.0}
    return Move(job, Status.QUEUED, "job.retried", told, {"error": ended.error, "strikes": strikes}, front=True)


def _dead(job: Job, ended: Ended, **changes: Any) -> Move:
    cause = fingerprint(ended.error.get("code", ""), ended.traceback)
    changes |= {"error": ended.error, "fingerprint": cause}
    return Move(job, Status.DEAD, "job.dead", _told(job, ended), changes)


def _later(job: Job, ended: Ended, event: str, counted: dict[str, int]) -> Move:
    seconds = ended.after_seconds
    if seconds is None:
        of = queue_settings.of(job.queue)
        seconds = backoff.delay_seconds(job.attempt, job.backoff, first=of.backoff_seconds, cap=of.backoff_cap_seconds)
    due = timezone.now() + timedelta(seconds=seconds)
    told = _told(job, ended) | {"after_seconds": round(seconds, 3)}
    if ended.how is How.FAILED and ended.after_seconds is not None:
        told["asked"] = True
    return Move(job, Status.SCHEDULED, event, told, {"error": ended.error, "scheduled_at": due, **counted})


def _told(job: Job, ended: Ended) -> dict[str, Any]:
    return {"attempt": job.attempt, **ended.error, "traceback": ended.traceback}
