"""A person takes a decision back before it settles."""

from __future__ import annotations

from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import F
from django.db.models.functions import Greatest, Now

from accounts import audit
from approvals.models import Approval, ApprovalDecision
from approvals.operations.conflicts import conflict, standing_decision
from approvals.operations.moves import locked_job, move, stamp, tell
from approvals.operations.opening import UNDECIDED
from approvals.rules import find
from approvals.states import Kind, Status
from jobs.clock import in_seconds
from jobs.errors import Conflict
from jobs.events.ledger import ledger
from jobs.states import RequestStatus

audit.register_action("approval.undone")


def undo(*, user: User, approval_id: UUID, version: int) -> Approval:
    """Make the decision on this version pending again; there is at least another undo window to decide anew.

    ``NotFound`` and ``Forbidden`` by the scope's rules; ``Conflict`` when it has settled, or with code
    ``not_decided``.
    """
    approval = find(user, approval_id)
    with ledger() as book:
        job = locked_job(approval)
        undone = standing_decision(approval, version)
        this = Approval.objects.filter(pk=approval_id, version=version, settles_at__gt=Now())
        due_at = Greatest(F("due_at"), in_seconds(approval.undo_seconds))
        if undone is None:
            raise Conflict("there is no decision to take back", code="not_decided", version=approval.version)
        if job is None or not move(this, Status.DECIDED, Status.PENDING, due_at=due_at, **UNDECIDED):
            raise conflict(approval_id, version)
        approval.refresh_from_db()
        ApprovalDecision.objects.create(
            approval=approval,
            version=version,
            kind=Kind.UNDO,
            decision=undone.decision,
            by=user,
            by_label=user.get_username(),
        )
        audit.record("approval.undone", actor=user, on=approval, version=version, decision=undone.decision)
        about = {"approval_id": str(approval.pk), "version": version, "due_at": stamp(approval.due_at)}
        private = {"by": user.get_username(), "decision": undone.decision}
        tell(
            book,
            job,
            approval,
            "approval.undone",
            about,
            private=private,
            status=RequestStatus.AWAITING_APPROVAL,
        )
    return approval
