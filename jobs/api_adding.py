"""Operators add jobs over HTTP: one, or many of a type."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Field, Header, Schema, Status
from pydantic import AwareDatetime

from accounts.authentication import CAN_OPERATE
from jobs.api_operator import operator, router
from jobs.api_shown import JobOut, detail
from jobs.errors import Invalid
from jobs.models import Job
from jobs.models_dependencies import IfDead
from jobs.operations import asking, operating
from jobs.operations.asking import OptionFields
from jobs.operations.operator import Operator
from jobs.registry import scope_kinds
from jobs.tags import TAGS

Seconds = Annotated[float, Field(ge=0, le=asking.MOST.total_seconds(), allow_inf_nan=False)]
SomeSeconds = Annotated[Seconds, Field(gt=0)]
Priority = Annotated[int, Field(ge=asking.PRIORITIES[0], le=asking.PRIORITIES[-1])]
Attempts = Annotated[int, Field(ge=asking.ATTEMPTS[0], le=asking.ATTEMPTS[-1])]
Key = Annotated[str, Field(max_length=asking.KEY_CHARACTERS)]


class OptionsIn(Schema, extra="forbid"):
    """What `enqueue` takes, with times in seconds and jobs by their ids."""

    queue: str = Field("", max_length=100)
    scope: Key = ""
    ordering_key: Key = ""
    concurrency_key: Key = ""
    fair_key: Key = ""
    tags: list[str] = Field([], max_length=TAGS)
    priority: Priority = 0
    delay_seconds: Seconds | None = None
    scheduled_at: AwareDatetime | None = None
    expires_in_seconds: SomeSeconds | None = None
    max_attempts: Attempts | None = None
    backoff_seconds: list[Seconds] | None = Field(None, max_length=asking.BACKOFFS)
    timeout_seconds: SomeSeconds | None = None
    keep_seconds: Seconds | None = None
    depends_on: list[UUID] = Field([], max_length=1000)
    if_dead: IfDead = IfDead.CANCEL


class JobIn(OptionsIn):
    type: str
    payload: dict[str, Any] = {}
    unique: Key = ""
    replace: bool = Field(False, description="An open one of the same `unique` that has not begun takes this over.")


class JobsIn(OptionsIn):
    type: str
    payloads: list[dict[str, Any]]


class Added(Schema):
    ids: list[UUID]


@router.post("/ops/jobs", response={201: JobOut}, auth=CAN_OPERATE)
def add_job(request: HttpRequest, body: JobIn, idempotency_key: Header[str] = "") -> Status[dict[str, Any]]:
    """A new job of the caller's. The same `Idempotency-Key` twice is one job; with anything else in the body it is a
    409."""
    by = operator(request, "add", Job())
    options = _options(body, by)
    job = operating.add(
        body.type,
        body.payload,
        by=by,
        idempotency_key=idempotency_key,
        unique=body.unique,
        replace=body.replace,
        **options,
    )
    return Status(201, detail(operating.get(job.pk), by))


@router.post("/ops/jobs/bulk", response={201: Added}, auth=CAN_OPERATE)
def add_jobs(request: HttpRequest, body: JobsIn, idempotency_key: Header[str] = "") -> Status[dict[str, Any]]:
    """Many jobs of one type, all or none. An `Idempotency-Key` is refused: it stands for one job."""
    by = operator(request, "add", Job())
    if idempotency_key:
        raise Invalid("many jobs have no key", fields={"idempotency_key": "stands for one job: leave it out"})
    jobs = operating.add_many(body.type, body.payloads, by=by, **_options(body, by))
    return Status(201, {"ids": [job.public_id for job in jobs]})


def _options(body: OptionsIn, by: Operator) -> OptionFields:
    if body.scope and body.scope.partition(":")[0] not in scope_kinds():
        reason = f"<kind>:<id>, of a kind that an app answers for: {', '.join(sorted(scope_kinds()))}"
        raise Invalid(f"nobody answers for {body.scope!r}", fields={"scope": reason})
    on = {job.public_id: job for job in Job.objects.filter(public_id__in=body.depends_on)}
    if missing := [str(job_id) for job_id in body.depends_on if job_id not in on]:
        raise Invalid("a job it depends on does not exist", fields={"depends_on": ", ".join(missing)})
    return {
        "owner": by.user,
        "queue": body.queue,
        "scope": body.scope,
        "ordering_key": body.ordering_key,
        "concurrency_key": body.concurrency_key,
        "fair_key": body.fair_key,
        "tags": body.tags,
        "priority": body.priority,
        "delay": _delta(body.delay_seconds),
        "scheduled_at": body.scheduled_at,
        "expires_in": _delta(body.expires_in_seconds),
        "max_attempts": body.max_attempts,
        "backoff": body.backoff_seconds,
        "timeout": _delta(body.timeout_seconds),
        "keep_for": _delta(body.keep_seconds),
        "depends_on": list(on.values()),
        "if_dead": body.if_dead,
    }


def _delta(seconds: float | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)
