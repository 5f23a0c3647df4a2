"""A job ended: nothing is left to decide."""

from __future__ import annotations

from approvals.models import Approval
from approvals.operations.moves import move, tell
from approvals.states import OPEN, Status
from jobs.events.ledger import ledger
from jobs.models import Job


def withdraw(job: Job) -> None:
    """Close what is open for this run of a job, whose row is locked by the caller."""
    with ledger() as book:
        for approval in Approval.objects.filter(job=job, run=job.run, status__in=OPEN).order_by("pk"):
            this = Approval.objects.filter(pk=approval.pk)
            if move(this, Status(approval.status), Status.WITHDRAWN):
                about = {"approval_id": str(approval.pk), "version": approval.version}
                tell(book, job, approval, "approval.withdrawn", about)
