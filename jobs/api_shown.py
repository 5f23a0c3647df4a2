"""A job as the operators' API shows it: all that stands about it, and what it holds to those with the right."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

from ninja import Field, Schema

from jobs.models import Job
from jobs.models_events import JobEvent
from jobs.operations.operator import Operator
from jobs.rules import may_inspect
from jobs.why import why_waiting


class WhyOut(Schema):
    """What a job waits for; `url` is a page about it."""

    reason: str
    text: str
    url: str


class JobRow(Schema):
    """A job. `id` is the request's id if it is a request, whose `request_id` is then the same."""

    id: UUID
    request_id: UUID
    type: str
    queue: str
    status: str
    outcome: str
    priority: int
    run: int
    attempt: int
    max_attempts: int
    owner: str | None
    scope: str | None
    ordering_key: str | None
    tags: list[str]
    fingerprint: str
    error: Any = Field(description="`code` and `detail`; only `code` without the right `inspect_job`.")
    created_at: datetime
    scheduled_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None


class JobOut(JobRow):
    inspected: bool = Field(description="False: the caller lacks `inspect_job`, and what the job holds is null.")
    payload: Any
    result: Any
    progress: Any
    why_waiting: WhyOut | None = Field(description="Why it does not run; null if it runs or has ended.")


class LogOut(Schema):
    """A line that a handler wrote about its work."""

    id: int
    at: datetime
    attempt: int
    text: str


class Logs(Schema):
    items: list[LogOut]
    next: int | None = Field(description="Pass it as `after` for the next page; null at the end.")


class Told(Schema):
    """One thing that became of a job; `token` counts its claims."""

    id: int
    at: datetime
    event: str
    run: int
    token: int
    data: dict[str, Any] | None = Field(description="Null without the right `inspect_job`.")


class Timeline(Schema):
    items: list[Told]
    next: int | None = Field(description="Pass it as `after` for the next page; null at the end.")


def row(job: Job, by: Operator) -> dict[str, Any]:
    """A line of a listing."""
    plain = {name: getattr(job, name) for name in JobRow.model_fields if hasattr(job, name)}
    return plain | {
        "id": job.public_id,
        "request_id": (job.root or job).public_id,
        "owner": job.owner.get_username() if job.owner else None,
        "scope": job.scope.key if job.scope else None,
        "ordering_key": job.lane.key if job.lane else None,
        "tags": sorted(given.tag for given in job.tags.all()),
        "error": job.error if may_inspect(by.user) else _code_only(job.error),
    }


def detail(job: Job, by: Operator) -> dict[str, Any]:
    """One job with why it waits."""
    why, inspected = why_waiting(job), may_inspect(by.user)
    inside = {name: getattr(job, name) if inspected else None for name in ("payload", "result", "progress")}
    return row(job, by) | inside | {"inspected": inspected, "why_waiting": asdict(why) if why else None}


def told(event: JobEvent, by: Operator) -> dict[str, Any]:
    """An event of a job's own timeline."""
    plain = {name: getattr(event, name) for name in ("id", "at", "event", "run", "token")}
    return plain | {"data": event.data if may_inspect(by.user) else None}


def _code_only(error: dict[str, Any] | None) -> dict[str, Any] | None:
    return error and {"code": error.get("code")}
