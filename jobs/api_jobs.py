"""Operators look at jobs over HTTP, and act on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Field, P, QueryEx, Schema, Status
from pydantic import AwareDatetime

from accounts.authentication import CAN_OPERATE, CAN_READ
from jobs import listing, states
from jobs.api_adding import Priority
from jobs.api_operator import Name, operator, router
from jobs.api_shown import JobOut, JobRow, Logs, Timeline, detail, row, told
from jobs.errors import NotFound
from jobs.lookup import one
from jobs.models import Job
from jobs.models_events import JobEvent
from jobs.models_steps import JobLog
from jobs.operations import operating

Limit = QueryEx[int, P(ge=1, le=200)]
After = QueryEx[int, P(ge=0, le=2**63 - 1)]


class JobPage(Schema):
    items: list[JobRow]
    next: UUID | None = Field(description="Pass it as `before` for the next page; null at the end.")


class PayloadIn(Schema, extra="forbid"):
    """A payload to run with instead of the job's own."""

    payload: dict[str, Any] | None = None


class MomentIn(Schema, extra="forbid"):
    scheduled_at: AwareDatetime


class PriorityIn(Schema, extra="forbid"):
    priority: Priority


@router.get("/ops/jobs", response=JobPage, auth=CAN_READ)
def list_jobs(
    request: HttpRequest,
    status: states.Status | None = None,
    queue: QueryEx[str, Name] = "",
    type: QueryEx[str, Name] = "",
    fingerprint: QueryEx[str, Name] = "",
    tag: QueryEx[str, Name] = "",
    owner: QueryEx[str, Name] = "",
    scope: QueryEx[str, Name] = "",
    since: AwareDatetime | None = None,
    until: AwareDatetime | None = None,
    search: QueryEx[str, Name] = "",
    before: UUID | None = None,
    limit: Limit = 50,
) -> dict[str, Any]:
    """Jobs, the newest first, with those that a request called. `owner` is a user's name, `since` and `until` are about
    when they were asked for, `search` is an id or an idempotency key."""
    by = operator(request, "view", Job())
    found = listing.wanted(
        status=status,
        queue=queue,
        type=type,
        fingerprint=fingerprint,
        tag=tag,
        owner=owner,
        scope=scope,
        since=since,
        until=until,
        search=search,
    )
    jobs, following = listing.page(found, before=before, limit=limit)
    return {"items": [row(job, by) for job in jobs], "next": following}


@router.get("/ops/jobs/{uuid:job_id}", response=JobOut, auth=CAN_READ)
def get_job(request: HttpRequest, job_id: UUID) -> dict[str, Any]:
    """One job, and why it does not run."""
    by = operator(request, "view", Job())
    return detail(operating.get(_key(job_id)), by)


@router.get("/ops/jobs/{uuid:job_id}/timeline", response=Timeline, auth=CAN_READ)
def get_timeline(request: HttpRequest, job_id: UUID, after: After = 0, limit: Limit = 50) -> dict[str, Any]:
    """What became of a job, the earliest first: each attempt with its worker, its error and its times."""
    by = operator(request, "view", Job())
    events = JobEvent.objects.filter(job=_key(job_id), event__startswith="job.", pk__gt=after).order_by("pk")
    found = list(events[: limit + 1])
    return {"items": [told(event, by) for event in found[:limit]], "next": _next(found, limit)}


@router.get("/ops/jobs/{uuid:job_id}/logs", response=Logs, auth=CAN_READ)
def get_logs(request: HttpRequest, job_id: UUID, after: After = 0, limit: Limit = 50) -> dict[str, Any]:
    """What the job's handler wrote about its work, the earliest first."""
    operator(request, "inspect", Job())
    found = list(JobLog.objects.filter(job=_key(job_id), pk__gt=after).order_by("pk")[: limit + 1])
    return {"items": found[:limit], "next": _next(found, limit)}


@router.post("/ops/jobs/{uuid:job_id}/cancel", response=JobOut, auth=CAN_OPERATE)
def cancel_job(request: HttpRequest, job_id: UUID) -> dict[str, Any]:
    """Call off a request and all beneath it. What runs is told to stop."""
    by = operator(request, "cancel", Job())
    return detail(operating.get(operating.cancel(_key(job_id), by=by).pk), by)


@router.post("/ops/jobs/{uuid:job_id}/revive", response=JobOut, auth=CAN_OPERATE)
def revive_job(request: HttpRequest, job_id: UUID, body: PayloadIn) -> dict[str, Any]:
    """Run a dead, expired or cancelled request again."""
    by = operator(request, "revive", Job())
    return detail(operating.get(operating.revive(_key(job_id), by=by, payload=body.payload).pk), by)


@router.post("/ops/jobs/{uuid:job_id}/run-again", response={201: JobOut}, auth=CAN_OPERATE)
def run_job_again(request: HttpRequest, job_id: UUID, body: PayloadIn) -> Status[dict[str, Any]]:
    """A new request like one that has ended."""
    by = operator(request, "rerun", Job())
    job = operating.run_again(_key(job_id), by=by, payload=body.payload)
    return Status(201, detail(operating.get(job.pk), by))


@router.post("/ops/jobs/{uuid:job_id}/promote", response=JobOut, auth=CAN_OPERATE)
def promote_job(request: HttpRequest, job_id: UUID) -> dict[str, Any]:
    """Let a delayed job run now."""
    by = operator(request, "promote", Job())
    return detail(operating.promote(_key(job_id), by=by), by)


@router.post("/ops/jobs/{uuid:job_id}/reschedule", response=JobOut, auth=CAN_OPERATE)
def reschedule_job(request: HttpRequest, job_id: UUID, body: MomentIn) -> dict[str, Any]:
    """Let a delayed job run at another time."""
    by = operator(request, "promote", Job())
    return detail(operating.reschedule(_key(job_id), body.scheduled_at, by=by), by)


@router.post("/ops/jobs/{uuid:job_id}/priority", response=JobOut, auth=CAN_OPERATE)
def reprioritise_job(request: HttpRequest, job_id: UUID, body: PriorityIn) -> dict[str, Any]:
    """Another priority for a request and all beneath it; lower runs first."""
    by = operator(request, "reprioritise", Job())
    return detail(operating.reprioritise(_key(job_id), body.priority, by=by), by)


@router.delete("/ops/jobs/{uuid:job_id}", response={204: None}, auth=CAN_OPERATE)
def remove_job(request: HttpRequest, job_id: UUID) -> Status[None]:
    """Delete an ended request and all beneath it."""
    by = operator(request, "remove", Job())
    operating.remove(_key(job_id), by=by)
    return Status(204, None)


def _next(found: Sequence[JobEvent | JobLog], limit: int) -> int | None:
    """Where the next page begins, if one more than the limit was found."""
    return found[limit - 1].pk if len(found) > limit else None


def _key(job_id: UUID) -> int:
    found = one(Job.objects.filter(public_id=job_id).values_list("pk", flat=True))
    if found is None:
        raise NotFound("there is no such job")
    return found
