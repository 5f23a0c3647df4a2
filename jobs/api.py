"""Requests over HTTP, mounted at /v1/."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast
from uuid import UUID

from django.contrib.auth.models import User
from django.http import HttpRequest
from ninja import Router, Schema

from accounts.authentication import CAN_PLAY, CAN_READ
from jobs import api_callbacks, api_ops, api_schedules, api_workflows, queries
from jobs.errors import NotFound
from jobs.models import Job, request_uuid
from jobs.operations import requests
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


class EtaOut(Schema):
    """Likely not before the one and not after the other."""

    earliest_at: datetime
    latest_at: datetime


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
    """A request as it stands.

    ``position``: unfinished jobs ahead in its lane, 0 = next, null once begun. ``eta``: a range, or null where nothing
    can be said.
    """

    request_id: str
    kind: str
    game_id: str | None
    status: str
    position: int | None
    blocked_by: BlockedBy | None
    eta: EtaOut | None
    result: Any
    error: Any
    enqueued_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    workflow: ProgressOut | None


@router.get("/requests/{request_id}", response=RequestOut, auth=CAN_READ)
def get_request(request: HttpRequest, request_id: str) -> dict[str, Any]:
    """One request that the caller may see."""
    return _shown(queries.get_request(request.user, _public_id(request_id)), request)


@router.post("/requests/{request_id}/cancel", response=RequestOut, auth=CAN_PLAY)
def cancel_request(request: HttpRequest, request_id: str) -> dict[str, Any]:
    """Call it off, with all beneath it. What runs is told to stop; 409 `ended` if it has ended before."""
    requests.cancel(user=_caller(request), request_id=_public_id(request_id))
    return _shown(requests.find(request.user, _public_id(request_id)), request)


@router.post("/requests/{request_id}/retry", response=RequestOut, auth=CAN_PLAY)
def retry_request(request: HttpRequest, request_id: str) -> dict[str, Any]:
    """Run what failed or was called off again, under the same id, at the end of its line; else 409 `not_dead`."""
    requests.retry(user=_caller(request), request_id=_public_id(request_id))
    return _shown(requests.find(request.user, _public_id(request_id)), request)


def _shown(job: Job, request: HttpRequest) -> dict[str, Any]:
    return {**queries.describe(job), "workflow": progress_of(job, request.user)}


def _public_id(request_id: str) -> UUID:
    public_id = request_uuid(request_id)
    if public_id is None:
        raise NotFound("there is no such request")
    return public_id


def _caller(request: HttpRequest) -> User:
    return cast(User, request.user)
