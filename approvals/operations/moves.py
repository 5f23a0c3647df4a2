"""The one writer of ``Approval.status``, and what follows from a change."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from approvals.models import Approval, ApprovalDecision, ApprovalQuerySet
from approvals.states import TRANSITIONS, Status
from jobs.events.ledger import Ledger
from jobs.models import Job
from jobs.operations import waits
from jobs.operations.transitions import lock
from jobs.states import RequestStatus


class IllegalTransition(RuntimeError):
    """A change of status that ``states.TRANSITIONS`` does not know: a defect of the caller."""


def move(found: ApprovalQuerySet, origin: Status, to: Status, **columns: Any) -> bool:
    """Compare-and-set in one statement: ``False`` if nothing in ``found`` is in ``origin`` any more."""
    if (origin, to) not in TRANSITIONS:
        raise IllegalTransition(f"{origin} → {to}")
    return found.filter(status=origin).update(status=to, **columns) == 1


def stamp(moment: datetime) -> str:
    """A time as events tell it."""
    return moment.isoformat().replace("+00:00", "Z")


def locked_job(approval: Approval, *, skip_locked: bool = False) -> Job | None:
    """The row of the job that waits for this approval, locked."""
    return lock([approval.job_id], skip_locked=skip_locked).get(approval.job_id) if approval.job_id else None


def tell(
    book: Ledger,
    job: Job,
    approval: Approval,
    event: str,
    data: dict[str, Any],
    *,
    private: dict[str, Any] | None = None,
    status: RequestStatus | None = None,
) -> None:
    """A numbered event. Those who decide learn from each which approval and version it is about."""
    about = {} if "approval_id" in data else {"approval_id": str(approval.pk), "version": approval.version}
    book.tell(job.root or job, event, data, private=about | (private or {}), status=status)


def resume(book: Ledger, job: Job, approval: Approval, entry: ApprovalDecision, *, settled: bool) -> None:
    """Give the waiting job what was decided."""
    ruling = entry.ruling().model_dump(mode="json")
    waits.resume(book, job, name=f"{approval.subject}.{entry.version}", ruling=ruling, settled=settled)
