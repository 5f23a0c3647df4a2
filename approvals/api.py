"""The decision queue over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema
from pydantic import ConfigDict

from accounts.authentication import CAN_DECIDE
from approvals import operations
from approvals.drafts import Candidate
from approvals.models import Approval, ApprovalDecision, ApprovalVersion
from approvals.queries import MOST, by_due_time, drafts_of, game_id, newest_first
from approvals.rules import caller, find
from approvals.states import Decision, Status
from jobs.changes import Change, ChangeFields, Changes

router = Router(tags=["approvals"], auth=CAN_DECIDE)

LARGEST_VERSION = 2**31 - 1


class Item(Schema):
    """A draft and what it is about."""

    id: UUID
    version: int
    kind: str
    game_id: str
    request_id: UUID
    text: str
    changes: list[ChangeFields]
    due_at: datetime


class Items(Schema):
    """A page; ``next`` is the cursor of the next one."""

    items: list[Item]
    next: str | None


class Version(Schema):
    """What people were shown, and why there was another version."""

    number: int
    reason: str
    candidates: list[dict[str, Any]]
    at: datetime


class Entry(Schema):
    """A decision, or one taken back; ``by`` is null for the system."""

    version: int
    kind: str
    decision: str
    by: str | None
    text: str
    changes: list[dict[str, Any]]
    reason: str
    regenerate: bool
    diff: dict[str, Any] | None
    at: datetime

    @staticmethod
    def resolve_by(entry: ApprovalDecision) -> str | None:
        return entry.by_label or None


class Details(Item):
    """An approval with its whole history."""

    status: Status
    action: str
    player: str | None
    created_at: datetime
    settles_at: datetime | None
    default: Decision
    versions: list[Version]
    decisions: list[Entry]


class Verdict(Schema):
    """A decision on the version that was shown."""

    model_config = ConfigDict(extra="forbid")

    version: Annotated[int, Field(strict=True, ge=1, le=LARGEST_VERSION)]
    decision: Decision
    text: str | None = None
    changes: Changes | None = None
    reason: str | None = None
    regenerate: Annotated[bool, Field(strict=True)] = False


class Decided(Schema):
    """What is now decided, and whether it has settled."""

    id: UUID
    version: int
    decision: Decision
    status: Status


@router.get("/approvals", response=Items)
def list_approvals(
    request: HttpRequest,
    status: Status = Status.PENDING,
    limit: Annotated[int, Query(ge=1, le=MOST)] = 50,
    cursor: str = "",
) -> dict[str, Any]:
    """What the caller may decide on: pending by due time, anything else newest first."""
    mine = Approval.objects.decidable_by(caller(request)).filter(status=status)
    in_order = by_due_time if status == Status.PENDING else newest_first
    page = in_order(mine, limit=limit, cursor=cursor)
    drafts = drafts_of(page.items)
    return {"items": [_item(approval, drafts[approval.pk]) for approval in page.items], "next": page.next}


@router.get("/approvals/{uuid:approval_id}", response=Details)
def get_approval(request: HttpRequest, approval_id: UUID) -> dict[str, Any]:
    """One approval with its versions and decisions, for those who may decide on it."""
    approval = find(caller(request), approval_id)
    versions = list(ApprovalVersion.objects.filter(approval=approval))
    shown = next(version for version in versions if version.number == approval.version)
    return {
        **_item(approval, shown.draft),
        "status": approval.status,
        "action": approval.action,
        "player": approval.requester and approval.requester.get_username(),
        "created_at": approval.created_at,
        "settles_at": approval.settles_at,
        "default": approval.default,
        "versions": versions,
        "decisions": list(ApprovalDecision.objects.filter(approval=approval)),
    }


@router.post("/approvals/{uuid:approval_id}/decide", response=Decided)
def decide(request: HttpRequest, approval_id: UUID, verdict: Verdict) -> Approval:
    """Decide. 409 with ``by``, ``decision`` and ``version`` for whoever comes late."""
    return operations.decide(
        user=caller(request),
        approval_id=approval_id,
        version=verdict.version,
        decision=verdict.decision,
        text=verdict.text,
        changes=verdict.changes,
        reason=verdict.reason or "",
        regenerate=verdict.regenerate,
    )


def _item(approval: Approval, draft: Candidate) -> dict[str, Any]:
    return {
        "id": approval.pk,
        "version": approval.version,
        "kind": approval.kind,
        "game_id": game_id(approval),
        "request_id": approval.request,
        "text": draft.text,
        "changes": [_plain(change) for change in draft.changes],
        "due_at": approval.due_at,
    }


def _plain(change: Change) -> dict[str, Any]:
    return change.model_dump(mode="json")
