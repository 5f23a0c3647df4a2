"""Requests over HTTP, mounted at /v1/."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from ninja import Router, Schema

from accounts.authentication import CAN_READ
from jobs import api_callbacks, api_ops, api_schedules, api_workflows, queries
from jobs.errors import NotFound
from jobs.models import request_uuid
from jobs.progress import progress_of

router = Router(tags=["requests"])
router.add_router("", api_ops.router)
router.add_router("", api_schedules.router)
router.add_router("", api_workflows.router)
router.add_router("", api_callbacks.router)


class BlockedBy(Schema):
    """The request at the head of the line that this one waits behind."""

    request_id: str
    player: str | None
    status: str
    since: datetime | None
    dm_online: bool


class StepOut(Schema):
    """`state`: to_come, running, completed, failed, stopped or left_out."""

    name: str
    title: str
    index: int
    state: str
    percent: int
    message: str


class ProgressOut(Schema):
    """How far a workflow is. `confirmation` is what the caller may confirm now."""

    title: str
    automation: str
    steps: list[StepOut]
    percentage: int
    confirmation: api_workflows.ConfirmationOut | None


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
    workflow: ProgressOut | None


@router.get("/requests/{request_id}", response=RequestOut, auth=CAN_READ)
def get_request(request: HttpRequest, request_id: str) -> dict[str, Any]:
    """One request that the caller may see."""
    public_id = request_uuid(request_id)
    if public_id is None:
        raise NotFound("there is no such request")
    job = queries.get_request(request.user, public_id)
    return {**queries.describe(job), "workflow": progress_of(job, request.user)}
