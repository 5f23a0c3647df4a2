"""What a schedule says, checked; and the schedules that the code declares.

A room declares one in its ``jobtypes``, and the scheduler stores it under its name:

    declare("forget_drafts", FORGET_DRAFTS, DraftsOlderThan(days=30), cron="0 4 * * *", time_zone="Europe/Berlin")
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Self

from django.conf import settings
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from jobs.errors import Invalid
from jobs.models_schedules import Overlap, Schedule
from jobs.recurrence import check_cron, check_zone
from jobs.registry import JobType

TIMING = ("cron", "time_zone", "interval_seconds", "starts_at", "ends_at")
EARLIEST, LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


def _refused(reason: str) -> PydanticCustomError:
    return PydanticCustomError("refused", "{reason}", {"reason": reason})


def _cron(expression: str) -> str:
    try:
        return check_cron(expression) if expression else ""
    except ValueError as error:
        raise _refused(str(error)) from None


def _zone(name: str) -> str:
    try:
        return check_zone(name)
    except ValueError as error:
        raise _refused(str(error)) from None


def _foreseeable(at: datetime) -> datetime:
    if not EARLIEST <= at <= LATEST:
        raise _refused("must lie between the years 2000 and 2200")
    return at.astimezone(UTC)


def _bounded(count: int) -> int:
    if count > settings.CONFIG.schedule_catch_up_limit:
        raise _refused(f"at most {settings.CONFIG.schedule_catch_up_limit}")
    return count


Instant = Annotated[AwareDatetime, AfterValidator(_foreseeable)]


class Spec(BaseModel):
    """What a schedule does and when; the meanings are those of the columns of ``Schedule``."""

    model_config = ConfigDict(extra="forbid")

    job_type: Annotated[str, Field(min_length=1, max_length=100)]
    payload: dict[str, Any] = {}
    priority: Annotated[int, Field(ge=-32768, le=32767)] = 0
    cron: Annotated[str, Field(max_length=100), AfterValidator(_cron)] = ""
    time_zone: Annotated[str, Field(max_length=64), AfterValidator(_zone)] = "UTC"
    interval_seconds: Annotated[int, Field(ge=1, le=31_536_000)] | None = None
    starts_at: Instant | None = None
    ends_at: Instant | None = None
    catch_up: Annotated[int, Field(ge=0), AfterValidator(_bounded)] = 0
    overlap: Overlap = Overlap.ALLOW

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        if bool(self.cron) == (self.interval_seconds is not None):
            raise _refused("give cron or interval_seconds, one of them")
        if self.starts_at and self.ends_at and self.ends_at < self.starts_at:
            raise _refused("ends_at lies before starts_at")
        return self

    @classmethod
    def parse(cls, fields: dict[str, Any]) -> Self:
        """Checked fields; ``Invalid`` names each mistake by its field."""
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            wrong = {".".join(map(str, item["loc"])) or "schedule": item["msg"] for item in error.errors()}
            raise Invalid("the schedule is wrong", fields=wrong) from None

    @classmethod
    def of(cls, schedule: Schedule) -> Spec:
        """What a stored schedule says, unchecked: what it names may be gone by now."""
        fields = {name: getattr(schedule, name) for name in cls.model_fields}
        return cls.model_construct(**{**fields, "overlap": Overlap(schedule.overlap)})

    def as_json(self) -> dict[str, Any]:
        """All fields as JSON values."""
        return self.model_dump(mode="json")


_declared: dict[str, Spec] = {}


def declare(name: str, job_type: JobType, payload: BaseModel, **fields: Any) -> None:
    """Have a job of this type made again and again. ``fields`` are those of ``Spec``; ``ValueError`` if one is wrong.

    The scheduler stores it under ``name`` and follows the code from then on, but for what staff changed.
    """
    if name in _declared:
        raise ValueError(f"schedule {name!r} is declared twice")
    if not isinstance(payload, job_type.payload):
        raise ValueError(f"schedule {name!r}: the payload must be a {job_type.payload.__name__}")
    _declared[name] = Spec(job_type=job_type.name, payload=payload.model_dump(mode="json"), **fields)


def declared() -> dict[str, Spec]:
    """The schedules of the code by name."""
    return dict(_declared)
