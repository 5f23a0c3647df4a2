"""Dead requests over HTTP, by what they died of."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Field, PathEx, Schema

from accounts.authentication import CAN_OPERATE, CAN_READ
from jobs import listing
from jobs.api_operator import Name, operator, router
from jobs.models import Job
from jobs.operations import bulk
from jobs.rules import may_inspect


class LimitIn(Schema, extra="forbid"):
    limit: int = Field(100, ge=1, le=1000, description="The oldest so many; a few show whether the cause is gone.")


class BulkOut(Schema):
    count: int
    refused: dict[str, int] = Field(description="Why not the others: how many for each reason.")


class CauseOut(Schema):
    """Dead requests that died alike, told by the last of them."""

    fingerprint: str
    count: int
    first_at: datetime
    last_at: datetime
    type: str
    queue: str
    code: str
    detail: str
    request_id: UUID


class Causes(Schema):
    items: list[CauseOut]


@router.get("/ops/dead-letters", response=Causes, auth=CAN_READ)
def list_dead_letters(request: HttpRequest) -> dict[str, Any]:
    """Dead requests, grouped by what they died of."""
    by = operator(request, "view", Job())
    return {"items": [asdict(cause) for cause in listing.causes(inspected=may_inspect(by.user))]}


@router.post("/ops/dead-letters/{fingerprint}/revive", response=BulkOut, auth=CAN_OPERATE)
def revive_dead_letters(request: HttpRequest, fingerprint: PathEx[str, Name], body: LimitIn) -> dict[str, Any]:
    """Run requests that died alike again."""
    by = operator(request, "revive", Job())
    return asdict(bulk.revive_alike(fingerprint, limit=body.limit, by=by))
