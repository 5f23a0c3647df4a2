"""The life of an approval: its statuses, which follow which, and the event each step writes."""

from __future__ import annotations

from django.db.models import TextChoices


class Status(TextChoices):
    """Where an approval stands. Only ``approvals.operations`` writes it."""

    PENDING = "pending"  # a person is asked about the current version
    DRAFTING = "drafting"  # rejected, and another draft is being made
    DECIDED = "decided"  # a person decided, and may take it back until ``settles_at``
    SETTLED = "settled"  # the decision holds, its job has gone on
    EXPIRED = "expired"  # nobody decided in time: the default holds, its job has gone on
    WITHDRAWN = "withdrawn"  # its job ended before anything held


class Decision(TextChoices):
    """What can be decided about a draft."""

    ACCEPT = "accept", "accepted"
    MODIFY = "modify", "edited and accepted"
    REJECT = "reject", "rejected"
    TAKE_OVER = "take_over", "written by hand"


class Kind(TextChoices):
    """How an entry of the history came about."""

    DECIDE = "decide", "a person decided"
    UNDO = "undo", "a person took the decision back"
    EXPIRE = "expire", "nobody decided in time"
    AUTO = "auto", "nobody needed to be asked"


class Reason(TextChoices):
    """Why there is a version."""

    DRAFT = "draft", "first draft"
    REGENERATE = "regenerate", "drafted again"
    STATE_CHANGED = "state_changed", "the state had changed"


OPEN = frozenset({Status.PENDING, Status.DRAFTING, Status.DECIDED})
CLOSED = frozenset(set(Status) - OPEN)

NEXT_VERSION: dict[str, Reason] = {
    Status.DRAFTING: Reason.REGENERATE,
    Status.SETTLED: Reason.STATE_CHANGED,
    Status.EXPIRED: Reason.STATE_CHANGED,
}
"""The statuses in which a job may bring its next version, and why it does."""

TRANSITIONS: frozenset[tuple[Status, Status]] = frozenset(
    {
        (Status.PENDING, Status.DRAFTING),
        (Status.PENDING, Status.DECIDED),
        (Status.PENDING, Status.SETTLED),
        (Status.PENDING, Status.EXPIRED),
        (Status.DECIDED, Status.PENDING),
        (Status.DECIDED, Status.SETTLED),
        *((Status(status), to) for status in NEXT_VERSION for to in (Status.PENDING, Status.SETTLED)),
        *((status, Status.WITHDRAWN) for status in OPEN),
    }
)
"""Every change of status. A new approval is pending, or settled at once where nobody needs to be asked."""
