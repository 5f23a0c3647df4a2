"""Operating the queue over HTTP, at /v1/ops/: for staff, with a right for each action."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Annotated, Any, cast
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import Model
from django.http import HttpRequest
from ninja import Field, Header, P, PathEx, QueryEx, Router, Schema, Status
from pydantic import AwareDatetime

from accounts.authentication import CAN_OPERATE, CAN_READ
from accounts.permissions import may
from jobs import listing, states
from jobs.errors import Forbidden, Invalid, NotFound
from jobs.models import IfDead, Job, QueueControl
from jobs.operations import bulk, operating, queues, upkeep
from jobs.operations.enqueue import OptionFields
from jobs.operations.operator import Operator
from jobs.why import why_waiting

router = Router(tags=["operating"])

Seconds = Annotated[float, Field(ge=0, le=31_536_000, allow_inf_nan=False)]
Name = P(max_length=200, pattern=r"^[^\x00]*$")
Priority = Annotated[int, Field(ge=-(2**15), le=2**15 - 1)]


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
    fingerprint: str
    error: Any
    created_at: datetime
    scheduled_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None


class JobOut(JobRow):
    payload: Any
    result: Any
    progress: Any
    why_waiting: WhyOut | None = Field(description="Why it does not run; null if it runs or has ended.")


class JobPage(Schema):
    items: list[JobRow]
    next: UUID | None = Field(description="Pass it as `before` for the next page; null at the end.")


class OptionsIn(Schema, extra="forbid"):
    """What `enqueue` takes, with times in seconds and jobs by their ids."""

    scope: str = Field("", max_length=200)
    ordering_key: str = Field("", max_length=200)
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


class JobsIn(OptionsIn):
    type: str
    payloads: list[dict[str, Any]]


class Added(Schema):
    ids: list[UUID]


class PayloadIn(Schema, extra="forbid"):
    """A payload to run with instead of the job's own."""

    payload: dict[str, Any] | None = None


class PriorityIn(Schema, extra="forbid"):
    priority: Priority


class CleanIn(Schema, extra="forbid"):
    statuses: list[states.Status] = Field(min_length=1)
    older_than_seconds: Seconds


class LimitIn(Schema, extra="forbid"):
    limit: int = Field(100, ge=1, le=1000, description="The oldest so many; a few show whether the cause is gone.")


class Counted(Schema):
    count: int


class BulkOut(Schema):
    count: int
    refused: dict[str, int] = Field(description="Why not the others: how many for each reason.")


class QueueRow(Schema):
    name: str
    paused_at: datetime | None
    workers: int
    slots: int
    counts: dict[str, int] = Field(description="How many of its jobs have each status.")


class Queues(Schema):
    items: list[QueueRow]


class WorkerRow(Schema):
    name: str
    queues: list[str]
    slots: int
    lost_slots: int
    busy: int
    started_at: datetime
    beat_at: datetime
    paused_at: datetime | None


class Workers(Schema):
    items: list[WorkerRow]


class PauseOut(Schema):
    name: str
    paused_at: datetime | None


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


# -- jobs --------------------------------------------------------------------------------------------------------


@router.get("/ops/jobs", response=JobPage, auth=CAN_READ)
def list_jobs(
    request: HttpRequest,
    status: states.Status | None = None,
    queue: QueryEx[str, Name] = "",
    type: QueryEx[str, Name] = "",
    fingerprint: QueryEx[str, Name] = "",
    before: UUID | None = None,
    limit: QueryEx[int, P(ge=1, le=200)] = 50,
) -> dict[str, Any]:
    """Jobs, the newest first, with those that a request called."""
    _operator(request, "view", Job())
    wanted = {"status": status, "queue": queue, "type": type, "fingerprint": fingerprint}
    found = Job.objects.filter(**{name: value for name, value in wanted.items() if value})
    jobs, following = listing.page(found, before=before, limit=limit)
    return {"items": [_row(job) for job in jobs], "next": following}


@router.post("/ops/jobs", response={201: JobOut}, auth=CAN_OPERATE)
def add_job(request: HttpRequest, body: JobIn, idempotency_key: Header[str] = "") -> Status[dict[str, Any]]:
    """A new job of the caller's. The same `Idempotency-Key` twice is one job."""
    by = _operator(request, "add", Job())
    options = _options(body, by)
    job = operating.add(body.type, body.payload, by=by, idempotency_key=idempotency_key, unique=body.unique, **options)
    return Status(201, _detail(operating.get(job.pk)))


@router.post("/ops/jobs/bulk", response={201: Added}, auth=CAN_OPERATE)
def add_jobs(request: HttpRequest, body: JobsIn) -> Status[dict[str, Any]]:
    """Many jobs of one type, all or none."""
    by = _operator(request, "add", Job())
    jobs = operating.add_many(body.type, body.payloads, by=by, **_options(body, by))
    return Status(201, {"ids": [job.public_id for job in jobs]})


@router.get("/ops/jobs/{uuid:job_id}", response=JobOut, auth=CAN_READ)
def get_job(request: HttpRequest, job_id: UUID) -> dict[str, Any]:
    """One job, and why it does not run."""
    _operator(request, "view", Job())
    return _detail(operating.get(_key(job_id)))


@router.post("/ops/jobs/{uuid:job_id}/cancel", response=JobOut, auth=CAN_OPERATE)
def cancel_job(request: HttpRequest, job_id: UUID) -> dict[str, Any]:
    """Call off a request and all beneath it. What runs is told to stop."""
    by = _operator(request, "cancel", Job())
    return _detail(operating.get(operating.cancel(_key(job_id), by=by).pk))


@router.post("/ops/jobs/{uuid:job_id}/revive", response=JobOut, auth=CAN_OPERATE)
def revive_job(request: HttpRequest, job_id: UUID, body: PayloadIn) -> dict[str, Any]:
    """Run a dead, expired or cancelled request again."""
    by = _operator(request, "revive", Job())
    return _detail(operating.get(operating.revive(_key(job_id), by=by, payload=body.payload).pk))


@router.post("/ops/jobs/{uuid:job_id}/run-again", response={201: JobOut}, auth=CAN_OPERATE)
def run_job_again(request: HttpRequest, job_id: UUID, body: PayloadIn) -> Status[dict[str, Any]]:
    """A new request like one that has ended."""
    by = _operator(request, "rerun", Job())
    return Status(201, _detail(operating.get(operating.run_again(_key(job_id), by=by, payload=body.payload).pk)))


@router.post("/ops/jobs/{uuid:job_id}/promote", response=JobOut, auth=CAN_OPERATE)
def promote_job(request: HttpRequest, job_id: UUID) -> dict[str, Any]:
    """Let a delayed job run now."""
    by = _operator(request, "promote", Job())
    return _detail(operating.promote(_key(job_id), by=by))


@router.post("/ops/jobs/{uuid:job_id}/priority", response=JobOut, auth=CAN_OPERATE)
def reprioritise_job(request: HttpRequest, job_id: UUID, body: PriorityIn) -> dict[str, Any]:
    """Another priority for a request and all beneath it; lower runs first."""
    by = _operator(request, "reprioritise", Job())
    return _detail(operating.reprioritise(_key(job_id), body.priority, by=by))


@router.delete("/ops/jobs/{uuid:job_id}", response={204: None}, auth=CAN_OPERATE)
def remove_job(request: HttpRequest, job_id: UUID) -> Status[None]:
    """Delete an ended request and all beneath it."""
    by = _operator(request, "remove", Job())
    operating.remove(_key(job_id), by=by)
    return Status(204, None)


@router.get("/ops/dead-letters", response=Causes, auth=CAN_READ)
def list_dead_letters(request: HttpRequest) -> dict[str, Any]:
    """Dead requests, grouped by what they died of."""
    _operator(request, "view", Job())
    return {"items": [asdict(cause) for cause in listing.causes()]}


@router.post("/ops/dead-letters/{fingerprint}/revive", response=BulkOut, auth=CAN_OPERATE)
def revive_dead_letters(request: HttpRequest, fingerprint: PathEx[str, Name], body: LimitIn) -> dict[str, Any]:
    """Run requests that died alike again."""
    by = _operator(request, "revive", Job())
    return asdict(bulk.revive_alike(fingerprint, limit=body.limit, by=by))


# -- queues and workers ------------------------------------------------------------------------------------------


@router.get("/ops/queues", response=Queues, auth=CAN_READ)
def list_queues(request: HttpRequest) -> dict[str, Any]:
    """Every queue with its counts, and who serves it."""
    _operator(request, "view", QueueControl())
    return {"items": listing.queue_rows()}


@router.post("/ops/queues/{name}/pause", response=PauseOut, auth=CAN_OPERATE)
def pause_queue(request: HttpRequest, name: PathEx[str, Name]) -> QueueControl:
    """No worker takes its jobs, until it is resumed. What runs goes on."""
    return queues.pause_queue(name, by=_operator(request, "pause", QueueControl()))


@router.post("/ops/queues/{name}/resume", response=PauseOut, auth=CAN_OPERATE)
def resume_queue(request: HttpRequest, name: PathEx[str, Name]) -> QueueControl:
    """Workers take its jobs again."""
    return queues.resume_queue(name, by=_operator(request, "pause", QueueControl()))


@router.post("/ops/queues/{name}/drain", response=Counted, auth=CAN_OPERATE)
def drain_queue(request: HttpRequest, name: PathEx[str, Name]) -> dict[str, int]:
    """Call off every request of which a job waits here for its first start."""
    by = _operator(request, "drain", QueueControl())
    return {"count": upkeep.drain(queues.known_queue(name), by=by)}


@router.post("/ops/queues/{name}/clean", response=Counted, auth=CAN_OPERATE)
def clean_queue(request: HttpRequest, name: PathEx[str, Name], body: CleanIn) -> dict[str, int]:
    """Delete its requests that ended so long ago."""
    by = _operator(request, "clean", QueueControl())
    if wrong := sorted(set(body.statuses) - states.FINAL):
        raise Invalid("only what has ended is cleaned", fields={"statuses": f"not final: {', '.join(wrong)}"})
    found = queues.known_queue(name)
    count = upkeep.clean(found, statuses=body.statuses, older_than_seconds=body.older_than_seconds, by=by)
    return {"count": count}


@router.get("/ops/workers", response=Workers, auth=CAN_READ)
def list_workers(request: HttpRequest) -> dict[str, Any]:
    """The workers that are alive."""
    _operator(request, "view", QueueControl())
    return {"items": listing.worker_rows()}


@router.post("/ops/workers/{name}/pause", response=PauseOut, auth=CAN_OPERATE)
def pause_worker(request: HttpRequest, name: PathEx[str, Name]) -> QueueControl:
    """It takes no jobs, until it is resumed. What runs goes on."""
    return queues.pause_worker(name, by=_operator(request, "pause", QueueControl()))


@router.post("/ops/workers/{name}/resume", response=PauseOut, auth=CAN_OPERATE)
def resume_worker(request: HttpRequest, name: PathEx[str, Name]) -> QueueControl:
    """It takes jobs again."""
    return queues.resume_worker(name, by=_operator(request, "pause", QueueControl()))


# -- shared ------------------------------------------------------------------------------------------------------


def _operator(request: HttpRequest, action: str, on: Model) -> Operator:
    """The caller, if they may do this to things of this kind; asked first, so that strangers learn nothing."""
    user = cast(User, request.user)
    if may(user, action, on):
        return Operator(user=user, via="api")
    if may(user, "view", on):
        raise Forbidden(f"this needs the right jobs.{action}_{on._meta.model_name}")
    raise NotFound("there is nothing here")


def _key(job_id: UUID) -> int:
    found = Job.objects.filter(public_id=job_id).values_list("pk", flat=True).first()
    if found is None:
        raise NotFound("there is no such job")
    return found


def _options(body: OptionsIn, by: Operator) -> OptionFields:
    on = {job.public_id: job for job in Job.objects.filter(public_id__in=body.depends_on)}
    if missing := [str(job_id) for job_id in body.depends_on if job_id not in on]:
        raise Invalid("a job it depends on does not exist", fields={"depends_on": ", ".join(missing)})
    return {
        "owner": by.user,
        "scope": body.scope,
        "ordering_key": body.ordering_key,
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


def _row(job: Job) -> dict[str, Any]:
    plain = {name: getattr(job, name) for name in JobRow.model_fields if hasattr(job, name)}
    return plain | {
        "id": job.public_id,
        "request_id": (job.root or job).public_id,
        "owner": job.owner.get_username() if job.owner else None,
        "scope": job.scope.key if job.scope else None,
        "ordering_key": job.lane.key if job.lane else None,
    }


def _detail(job: Job) -> dict[str, Any]:
    why = why_waiting(job)
    inside = {"payload": job.payload, "result": job.result, "progress": job.progress}
    return _row(job) | inside | {"why_waiting": asdict(why) if why else None}
