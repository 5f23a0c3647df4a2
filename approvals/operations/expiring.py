"""Nobody decided in time: the default outcome is recorded as the system's."""

from __future__ import annotations

from django.db.models.functions import Now

from approvals.drafts import Candidate
from approvals.models import Approval, ApprovalDecision, ApprovalVersion
from approvals.operations.moves import locked_job, move, resume, tell
from approvals.states import Decision, Kind, Status
from jobs.events.ledger import ledger
from jobs.failpoints import failpoint
from jobs.operations.apart import one_by_one
from jobs.states import RequestStatus


def expire_due(*, limit: int) -> int:
    """Expire up to ``limit`` approvals that are overdue, each exactly once; how many this call expired."""
    due = Approval.objects.overdue().order_by("due_at")
    return one_by_one(due[:limit], _expire)


def _expire(approval: Approval) -> bool:
    entry = _entry(approval)
    with ledger() as book:
        job = locked_job(approval, skip_locked=True)
        this = Approval.objects.overdue().filter(pk=approval.pk, version=approval.version)
        decided = {"decision": entry.decision, "decision_kind": entry.kind, "decided_at": Now()}
        # A person or another scheduler got there first.
        if job is None or not move(this, Status.PENDING, Status.EXPIRED, **decided):
            return False
        entry.save()
        tell(
            book,
            job,
            approval,
            "approval.expired",
            {"decision": entry.decision},
            private={"reason": entry.reason},
            status=RequestStatus.PROCESSING,
        )
        resume(book, job, approval, entry, settled=True)
        failpoint("in_expiry")
        return True


def _entry(approval: Approval) -> ApprovalDecision:
    accepted = approval.default == Decision.ACCEPT
    version = ApprovalVersion.objects.get(approval=approval, number=approval.version)
    holds = version.draft if accepted else Candidate()
    return ApprovalDecision(
        approval=approval,
        version=approval.version,
        kind=Kind.EXPIRE,
        decision=approval.default,
        text=holds.text,
        changes=[change.model_dump(mode="json") for change in holds.changes],
        reason=approval.default_reason,
    )
