"""What somebody is told who came too late."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from approvals.models import Approval, ApprovalDecision
from approvals.states import Kind, Status
from jobs.errors import Conflict

SYSTEM = "system"


def conflict(approval_id: UUID, version: int) -> Conflict:
    """Why nothing could be done about this version: who decided what, or whose turn it is."""
    now = Approval.objects.select_related("claimed_by").get(pk=approval_id)
    standing = standing_decision(now, version)
    told: dict[str, Any] = {"by": None, "decision": None, "version": now.version}
    if standing is not None:
        told |= {"by": standing.by_label or SYSTEM, "decision": standing.decision}
    if version != now.version:
        return Conflict(_stale(now, version, standing), code="stale_version", **told)
    if now.status == Status.PENDING:
        holder = now.claimed_by.get_username() if now.claimed_by else "someone"
        return Conflict(f"{holder} is deciding on this", code="claimed", **told | {"by": holder})
    return Conflict(_decided(now, standing), code="already_decided", **told)


def standing_decision(approval: Approval, version: int) -> ApprovalDecision | None:
    """The decision on this version that was not taken back."""
    last = ApprovalDecision.objects.filter(approval=approval, version=version).order_by("-id").first()
    return None if last is None or last.kind == Kind.UNDO else last


def _stale(now: Approval, version: int, standing: ApprovalDecision | None) -> str:
    said = f"{_sentence(standing)}; " if standing else ""
    return f"{said}this is about version {version}, and version {now.version} is the current one"


def _decided(now: Approval, standing: ApprovalDecision | None) -> str:
    return _sentence(standing) if standing else f"nothing is left to decide: {now.get_status_display().lower()}"


def _sentence(entry: ApprovalDecision) -> str:
    who = entry.by_label or f"the {SYSTEM}"
    return f"version {entry.version} was {entry.get_decision_display()} by {who}"
