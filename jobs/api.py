"""Requests over HTTP, mounted at /v1/."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from ninja import Router, Schema

from accounts.authentication import CAN_READ
from jobs import api_ops, api_schedules, queries
from jobs.errors import NotFound
from jobs.models import request_uuid

router = Router(tags=["requests"])
router.add_router("", api_ops.router)
router.add_router("", api_schedules.router)


class BlockedBy(Schema):
    """The request at the head of the line that this one waits behind."""

    request_id: str
    player: str | None
    status: str
    since: datetime | None
    dm_online: bool


class RequestOut(Schema):
    """A request as it stands. ``position``: unfinished jobs ahead in its lane, 0 = next, null once begun."""

    request_id: str
    kind: str
    status: str
    position: int | None
    blocked_by: BlockedBy | None
    result: Any
    error: Any
    enqueued_at: datetime
    started_at: datetime | None
    completed_at: datetime | None


@router.get("/requests/{request_id}", response=RequestOut, auth=CAN_READ)
def get_request(request: HttpRequest, request_id: str) -> dict[str, Any]:
    """One request that the caller may see."""
    public_id = request_uuid(request_id)
    if public_id is None:
        raise NotFound("there is no such request")
    return queries.describe(queries.get_request(request.user, public_id))
