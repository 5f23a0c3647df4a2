"""Schedules over HTTP, mounted at /v1/: for staff with the right for each action; others find nothing here."""

from __future__ import annotations

from datetime import datetime
from itertools import islice
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.http import HttpRequest
from ninja import Field, Header, P, QueryEx, Router, Schema
from ninja.responses import Status

from accounts.authentication import CAN_OPERATE, CAN_READ
from accounts.permissions import may
from jobs.errors import Forbidden, NotFound
from jobs.models_schedules import Overlap, Schedule, ScheduleTick
from jobs.operations import schedules

UPCOMING = 5

router = Router(tags=["schedules"])


class ScheduleChange(Schema, extra="forbid"):
    """What a schedule does and when; of a change, only what is given changes. Either ``cron`` or
    ``interval_seconds``: to go from one to the other give both, the old one as ``""`` or null."""

    job_type: str = Field("", description="The name of a job type.")
    payload: dict[str, Any] = Field({}, description="What each job is given, as its type wants it.")
    priority: int = Field(0, description="Lower runs first.")
    cron: str = Field("", description="minute hour day month weekday, or @daily and the like")
    time_zone: str = Field("UTC", description="The zone whose clock the cron times mean, as Europe/Berlin.")
    interval_seconds: int | None = Field(None, description="Seconds between ticks, counted from starts_at.")
    starts_at: datetime | None = Field(None, description="No tick before. With its offset from UTC.")
    ends_at: datetime | None = Field(None, description="No tick after. With its offset from UTC.")
    catch_up: int = Field(0, description="How many of the ticks that a downtime swallowed run after it.")
    overlap: str = Field(Overlap.ALLOW.value, description="allow, or skip: no tick while a job has not ended.")


class ScheduleIn(ScheduleChange):
    name: str


class ScheduleOut(Schema):
    """A schedule as it stands. ``declared``: the code declares it; ``retired_at``: it does no more."""

    name: str
    job_type: str
    payload: dict[str, Any]
    priority: int
    cron: str
    time_zone: str
    interval_seconds: int | None
    starts_at: datetime | None
    ends_at: datetime | None
    catch_up: int
    overlap: str
    declared: bool
    next_at: datetime | None
    paused_at: datetime | None
    retired_at: datetime | None

    @staticmethod
    def resolve_declared(schedule: Schedule) -> bool:
        return schedule.declared is not None


class ScheduleDetail(ScheduleOut):
    upcoming: list[datetime] = Field(description="The next ticks, as far as there are any.")

    @staticmethod
    def resolve_upcoming(schedule: Schedule) -> list[datetime]:
        return list(islice(schedule.upcoming(), UPCOMING))


class Schedules(Schema):
    items: list[ScheduleOut]
    next: str | None = Field(description="Pass it as `after` for the next page; null at the end.")


class TickOut(Schema):
    """What became of a tick: ``enqueued``, ``overlapped``, ``missed`` (with those before it) or ``refused``."""

    id: int
    at: datetime
    manual: bool
    outcome: str
    detail: str
    request_id: UUID | None

    @staticmethod
    def resolve_request_id(tick: ScheduleTick) -> UUID | None:
        return tick.job.public_id if tick.job else None


class Ticks(Schema):
    items: list[TickOut]
    next: int | None = Field(description="Pass it as `before` for the next page; null at the end.")


class Asked(Schema):
    request_id: UUID
    status: str


@router.get("/ops/schedules", response=Schedules, auth=CAN_READ)
def list_schedules(
    request: HttpRequest,
    after: QueryEx[str, P(pattern=r"^[a-z0-9_-]*$")] = "",
    limit: QueryEx[int, P(ge=1, le=200)] = 50,
) -> dict[str, Any]:
    """All schedules, by name."""
    _operator(request, "view")
    found = list(Schedule.objects.filter(name__gt=after).order_by("name")[: limit + 1])
    return {"items": found[:limit], "next": found[limit - 1].name if len(found) > limit else None}


@router.post("/ops/schedules", response={201: ScheduleDetail}, auth=CAN_OPERATE)
def create_schedule(request: HttpRequest, body: ScheduleIn) -> Status[Schedule]:
    """A new schedule; its first tick is yet to come."""
    by = _operator(request, "add")
    fields = body.model_dump(exclude_unset=True, exclude={"name"})
    return Status(201, schedules.create(name=body.name, fields=fields, by=by))


@router.get("/ops/schedules/{slug:name}", response=ScheduleDetail, auth=CAN_READ)
def get_schedule(request: HttpRequest, name: str) -> Schedule:
    """One schedule and its next ticks."""
    _operator(request, "view")
    return _schedule(name)


@router.patch("/ops/schedules/{slug:name}", response=ScheduleDetail, auth=CAN_OPERATE)
def change_schedule(request: HttpRequest, name: str, body: ScheduleChange) -> Schedule:
    """Change what is given. Another timing counts from now."""
    by = _operator(request, "change")
    return schedules.change(name=name, fields=body.model_dump(exclude_unset=True), by=by)


@router.delete("/ops/schedules/{slug:name}", response={204: None}, auth=CAN_OPERATE)
def delete_schedule(request: HttpRequest, name: str) -> Status[None]:
    """Forget a schedule that staff made; its jobs stay."""
    schedules.delete(name=name, by=_operator(request, "delete"))
    return Status(204, None)


@router.post("/ops/schedules/{slug:name}/pause", response=ScheduleDetail, auth=CAN_OPERATE)
def pause_schedule(request: HttpRequest, name: str) -> Schedule:
    """No tick runs until it is resumed, nor are they made up for."""
    return schedules.pause(name=name, by=_operator(request, "pause"))


@router.post("/ops/schedules/{slug:name}/resume", response=ScheduleDetail, auth=CAN_OPERATE)
def resume_schedule(request: HttpRequest, name: str) -> Schedule:
    """Tick again, from now on."""
    return schedules.resume(name=name, by=_operator(request, "pause"))


@router.post("/ops/schedules/{slug:name}/reset", response=ScheduleDetail, auth=CAN_OPERATE)
def reset_schedule(request: HttpRequest, name: str) -> Schedule:
    """Drop what staff changed of a schedule that the code declares."""
    return schedules.reset(name=name, by=_operator(request, "change"))


@router.post("/ops/schedules/{slug:name}/run", response=Asked, auth=CAN_OPERATE)
def run_schedule(request: HttpRequest, name: str, idempotency_key: Header[str] = "") -> dict[str, Any]:
    """Make its job now, beside its ticks. The same `Idempotency-Key` twice is one job."""
    job = schedules.run(name=name, by=_operator(request, "run"), idempotency_key=idempotency_key)
    return {"request_id": job.public_id, "status": job.request_status}


@router.get("/ops/schedules/{slug:name}/ticks", response=Ticks, auth=CAN_READ)
def list_ticks(
    request: HttpRequest,
    name: str,
    before: QueryEx[int, P(ge=1, le=2**63 - 1)] = 2**63 - 1,
    limit: QueryEx[int, P(ge=1, le=200)] = 50,
) -> dict[str, Any]:
    """What became of its ticks, the latest first."""
    _operator(request, "view")
    ticks = _schedule(name).ticks.filter(pk__lt=before).select_related("job").order_by("-pk")
    found = list(ticks[: limit + 1])
    return {"items": found[:limit], "next": found[limit - 1].pk if len(found) > limit else None}


def _operator(request: HttpRequest, action: str) -> User:
    """The caller, who may do this to schedules."""
    assert isinstance(request.user, User)
    if may(request.user, action, Schedule()):
        return request.user
    if may(request.user, "view", Schedule()):
        raise Forbidden(f"you may not {action} schedules")
    raise NotFound("there is nothing here")


def _schedule(name: str) -> Schedule:
    schedule = Schedule.objects.filter(name=name).first()
    if schedule is None:
        raise NotFound("there is no such schedule")
    return schedule
