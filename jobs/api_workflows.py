"""Workflows over HTTP, mounted at /v1/: what there is to start, starting it, and confirming its steps."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast
from uuid import UUID

from django.contrib.auth.models import User
from django.http import HttpRequest
from ninja import Field, Header, Router, Schema

from accounts.authentication import CAN_PLAY, CAN_READ
from jobs.errors import NotFound
from jobs.models import request_uuid
from jobs.operations import confirmations, workflows
from jobs.registry import JobType
from jobs.workflows import Automation, Step

router = Router(tags=["workflows"])


class DeclaredStep(Schema):
    """`weight` is its share of the percentage; `confirmed_by`: how it is confirmed, if it is marked for that."""

    name: str
    title: str
    index: int
    weight: float
    confirmed_by: str | None = Field(description="word (a click or a keyword), card (a decision), or null.")


class WorkflowOut(Schema):
    """What can be started. `scope`: the kind of project it works in; `needs`: the right that its owner must have."""

    name: str
    title: str
    description: str
    scope: str
    needs: str
    automation: str
    steps: list[DeclaredStep]
    payload: dict[str, Any] = Field(description="The JSON schema of the payload.")


class Workflows(Schema):
    items: list[WorkflowOut]


class StartIn(Schema, extra="forbid"):
    payload: dict[str, Any] = {}
    scope: str = Field("", max_length=200, description='"game:<id>", or nothing for what is one\'s own.')
    automation: Automation | None = Field(None, description="manual, semi or full; null is the workflow's own.")


class Started(Schema):
    request_id: UUID
    status: str


class ConfirmIn(Schema, extra="forbid"):
    """Without `text` it is a click. `step` and `version` bind it to what was shown."""

    text: str | None = None
    step: str = Field("", max_length=100)
    version: int | None = Field(None, ge=1, le=2**31 - 1)


class ConfirmationOut(Schema):
    """`state`: `open` (other words were said, `attempts` of at most `most_attempts`), `confirmed`, `fell_back`."""

    step: str
    version: int
    state: str
    attempts: int
    most_attempts: int
    due_at: datetime


@router.get("/workflows", response=Workflows, auth=CAN_READ)
def list_workflows(request: HttpRequest) -> dict[str, Any]:
    """Every workflow with its steps."""
    return {"items": [_described(job_type) for job_type in workflows.workflows().values()]}


@router.post("/workflows/{name}", response=Started, auth=CAN_PLAY)
def start_workflow(request: HttpRequest, name: str, body: StartIn, idempotency_key: Header[str] = "") -> dict[str, Any]:
    """Start one. The same `Idempotency-Key` twice is one request; status and cancel are those of any request."""
    job = workflows.start(
        name,
        body.payload,
        user=_caller(request),
        scope=body.scope,
        automation=body.automation,
        idempotency_key=idempotency_key,
    )
    return {"request_id": job.public_id, "status": job.request_status}


@router.post("/requests/{request_id}/confirm", response=ConfirmationOut, auth=CAN_PLAY)
def confirm_request(request: HttpRequest, request_id: str, body: ConfirmIn, idempotency_key: Header[str] = "") -> Any:
    """Confirm what the request waits for, by a click or a keyword; any other text counts against its attempts."""
    public_id = request_uuid(request_id)
    if public_id is None:
        raise NotFound("there is no such request")
    return confirmations.confirm(
        user=_caller(request),
        request_id=public_id,
        text=body.text,
        step=body.step,
        version=body.version,
        idempotency_key=idempotency_key,
    )


def _caller(request: HttpRequest) -> User:
    return cast(User, request.user)


def _described(job_type: JobType) -> dict[str, Any]:
    workflow = job_type.workflow
    assert workflow is not None
    return {
        "name": job_type.name,
        "title": workflow.title,
        "description": workflow.description,
        "scope": workflow.scope,
        "needs": workflow.needs,
        "automation": workflow.automation,
        "steps": [_step(index, step) for index, step in enumerate(workflow.steps, 1)],
        "payload": job_type.payload.model_json_schema(),
    }


def _step(index: int, step: Step) -> dict[str, Any]:
    return {
        "name": step.name,
        "title": step.title,
        "index": index,
        "weight": step.weight,
        "confirmed_by": step.confirm.by if step.confirm else None,
    }
