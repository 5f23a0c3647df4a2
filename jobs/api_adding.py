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
from jobs.models import IfDead, Job
from jobs.operations import operating
from jobs.operations.asking import OptionFields
from jobs.operations.operator import Operator
from jobs.tags import TAGS

Seconds = Annotated[float, Field(ge=0, le=31_536_000, allow_inf_nan=False)]
Priority = Annotated[int, Field(ge=-(2**15), le=2**15 - 1)]


class OptionsIn(Schema, extra="forbid"):
    """What `enqueue` takes, with times in seconds and jobs by their ids."""

    queue: str = Field("", max_length=100)
    scope: str = Field("", max_length=200)
    ordering_key: str = Field("", max_length=200)
    concurrency_key: str = Field("", max_length=200)
    fair_key: str = Field("", max_length=200)
    tags: list[str] = Field([], max_length=TAGS)
    priority: Priority = 0
    delay_seconds: Seconds | None = None
    scheduled_at: AwareDatetime | None = None
    expires_in_seconds: Seconds | None = None
    max_attempts: int | None = Field(None, ge=1, le=1000)
    backoff_seconds: list[Seconds] | None = Field(None, max_length=100)
    timeout_seconds: Seconds | None = None
    keep_seconds: Seconds | None = None
    depends_on: list[UUID] = Field([], max_length=1000)
    if_dead: IfDead = IfDead.CANCEL


class JobIn(OptionsIn):
    type: str
    payload: dict[str, Any] = {}
    unique: str = Field("", max_length=200)
    replace: bool = Field(False, description="An open one of the same `unique` that has not begun takes this over.")


class JobsIn(OptionsIn):
    type: str
    payloads: list[dict[str, Any]]


class Added(Schema):
    ids: list[UUID]


@router.post("/ops/jobs", response={201: JobOut}, auth=CAN_OPERATE)
def add_job(request: HttpRequest, body: JobIn, idempotency_key: Header[str] = "") -> Status[dict[str, Any]]:
    """A new job of the caller's. The same `Idempotency-Key` twice is one job."""
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
def add_jobs(request: HttpRequest, body: JobsIn) -> Status[dict[str, Any]]:
    """Many jobs of one type, all or none."""
    by = operator(request, "add", Job())
    jobs = operating.add_many(body.type, body.payloads, by=by, **_options(body, by))
    return Status(201, {"ids": [job.public_id for job in jobs]})


def _options(body: OptionsIn, by: Operator) -> OptionFields:
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
