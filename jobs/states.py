"""The life of a job: its statuses, which follow which, and the event each step writes."""

from __future__ import annotations

from django.db.models import TextChoices


class Status(TextChoices):
    """Where a job stands. Only ``jobs.operations.transitions`` writes it."""

    SCHEDULED = "scheduled"  # not before ``scheduled_at``: delay, backoff, snooze
    PENDING = "pending"  # behind the head of its lane
    QUEUED = "queued"  # may run
    RUNNING = "running"  # a worker holds the lease
    WAITING = "waiting"  # on children, a decision, a time, an answer from outside
    COMPLETED = "completed"
    DEAD = "dead"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class Outcome(TextChoices):
    """How a completed job ended: with what was asked for, or with a person's no."""

    DONE = "done"
    REJECTED = "rejected"


class RequestStatus(TextChoices):
    """What a caller is told of a root job and everything beneath it."""

    QUEUED = "queued"
    PROCESSING = "processing"
    AWAITING_APPROVAL = "awaiting_approval"
    COMPLETED = "completed"
    REJECTED = "rejected"
    FAILED = "failed"
    CANCELLED = "cancelled"


FINAL = frozenset({Status.COMPLETED, Status.DEAD, Status.CANCELLED, Status.EXPIRED})
OPEN = frozenset(set(Status) - FINAL)

S = Status
TRANSITIONS: dict[tuple[Status, Status], frozenset[str]] = {
    (S.SCHEDULED, S.PENDING): frozenset({"job.pending"}),
    (S.SCHEDULED, S.QUEUED): frozenset({"job.queued"}),
    (S.PENDING, S.QUEUED): frozenset({"job.queued"}),
    (S.QUEUED, S.RUNNING): frozenset({"job.started"}),
    (S.RUNNING, S.QUEUED): frozenset({"job.rescued", "job.released", "job.retried"}),
    (S.RUNNING, S.SCHEDULED): frozenset({"job.retried", "job.snoozed"}),
    (S.RUNNING, S.WAITING): frozenset({"job.waiting"}),
    (S.WAITING, S.QUEUED): frozenset({"job.resumed"}),
    (S.RUNNING, S.COMPLETED): frozenset({"job.completed"}),
    (S.RUNNING, S.DEAD): frozenset({"job.dead"}),
    (S.WAITING, S.DEAD): frozenset({"job.dead"}),
    **{(status, S.EXPIRED): frozenset({"job.expired"}) for status in (S.SCHEDULED, S.PENDING, S.QUEUED, S.WAITING)},
    **{
        (status, to): frozenset({"job.revived"})
        for status in (S.DEAD, S.EXPIRED, S.CANCELLED)
        for to in (S.PENDING, S.QUEUED)
    },
    **{(status, S.CANCELLED): frozenset({"job.cancelled"}) for status in OPEN},
}
"""Every legal change of status, and the events of the job's own timeline that may tell of it."""

BIRTHS: dict[Status, str] = {S.SCHEDULED: "job.scheduled", S.PENDING: "job.pending", S.QUEUED: "job.queued"}
"""The status a job may be enqueued in, and its first event."""


def request_status(*, status: str, outcome: str, started: bool, awaiting_approval: bool) -> RequestStatus:
    """The public status of a root job, from its row alone."""
    match status:
        case Status.COMPLETED:
            return RequestStatus.REJECTED if outcome == Outcome.REJECTED else RequestStatus.COMPLETED
        case Status.DEAD | Status.EXPIRED:
            return RequestStatus.FAILED
        case Status.CANCELLED:
            return RequestStatus.CANCELLED
    if awaiting_approval:
        return RequestStatus.AWAITING_APPROVAL
    return RequestStatus.PROCESSING if started else RequestStatus.QUEUED
