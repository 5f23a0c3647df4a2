"""The time to take a decision back is over: it holds."""

from __future__ import annotations

from approvals.models import Approval
from approvals.operations.conflicts import standing_decision
from approvals.operations.moves import locked_job, move, resume
from approvals.states import Status
from jobs.events.ledger import ledger
from jobs.operations.apart import one_by_one


def settle_due(*, limit: int) -> int:
    """Settle up to ``limit`` decisions whose window is over, each exactly once; how many this call settled."""
    due = Approval.objects.unsettled().order_by("settles_at")
    return one_by_one(due[:limit], _settle)


def _settle(approval: Approval) -> bool:
    with ledger() as book:
        job = locked_job(approval, skip_locked=True)
        this = Approval.objects.unsettled().filter(pk=approval.pk, version=approval.version)
        # Another scheduler settled it, or the decision was taken back just now.
        if job is None or not move(this, Status.DECIDED, Status.SETTLED):
            return False
        entry = standing_decision(approval, approval.version)
        assert entry is not None
        resume(book, job, approval, entry, settled=True)
        return True
