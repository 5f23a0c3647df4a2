"""Schedules, which make jobs again and again, and what became of their ticks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from django.core.validators import RegexValidator
from django.db import models
from django.db.models.functions import Now
from uuid6 import uuid7

from jobs.recurrence import Cron, Every, Recurrence

if TYPE_CHECKING:
    from jobs.models import Job

is_name = RegexValidator(r"^[a-z0-9][a-z0-9_-]{0,99}\Z", "lower-case letters, digits, - and _ only, at most 100")


class Overlap(models.TextChoices):
    """What becomes of a tick while a job of the schedule has not ended."""

    ALLOW = "allow", "run beside it"
    SKIP = "skip", "leave the tick out"


class ScheduleQuerySet(models.QuerySet["Schedule"]):
    def due(self) -> ScheduleQuerySet:
        """Those with a tick whose time has come by the database's clock, the latest in line first."""
        return self.filter(next_at__lte=Now()).order_by("next_at", "pk")

    def with_clock(self) -> ScheduleQuerySet:
        """Rows that say in ``now`` what time it is by the database's clock."""
        return self.annotate(now=Now())  # type: ignore[no-redef]

    def in_force(self) -> ScheduleQuerySet:
        """Neither paused nor dropped by the code."""
        return self.filter(paused_at=None, retired_at=None)


class Schedule(models.Model):
    """A repeatable job. Its ticks are the instants of ``recurrence`` from ``starts_at`` up to ``ends_at``.

    ``next_at`` is the first tick that has not been dealt with, ``None`` while there is none to come. ``declared`` is
    what the code says, for a schedule that the code declares; where the columns differ, staff changed them.
    ``retired_at``: the code declared it once and does no more.
    """

    now: datetime

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=100, unique=True, validators=[is_name])
    job_type = models.CharField(max_length=100)
    payload = models.JSONField(default=dict, blank=True)
    priority = models.SmallIntegerField(default=0, help_text="Lower runs first.")
    cron = models.CharField(
        max_length=100, blank=True, help_text="minute hour day month weekday, or @daily; or else an interval."
    )
    time_zone = models.CharField(max_length=64, default="UTC", help_text="The zone whose clock the cron times mean.")
    interval_seconds = models.PositiveIntegerField(null=True, blank=True, help_text="Instead of cron.")
    starts_at = models.DateTimeField(
        null=True, blank=True, help_text="No tick before; an interval is counted from here."
    )
    ends_at = models.DateTimeField(null=True, blank=True, help_text="No tick after.")
    catch_up = models.PositiveSmallIntegerField(
        default=0, help_text="How many of the ticks that a downtime swallowed run after it, the latest; 0 skips them."
    )
    overlap = models.CharField(max_length=10, choices=Overlap.choices, default=Overlap.ALLOW)

    next_at = models.DateTimeField(null=True, blank=True, db_index=True)
    paused_at = models.DateTimeField(null=True, blank=True)
    retired_at = models.DateTimeField(null=True, blank=True)
    declared = models.JSONField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now())

    objects = ScheduleQuerySet.as_manager()

    class Meta:
        ordering = ("name",)
        permissions = (("run_schedule", "Can run a schedule now"), ("pause_schedule", "Can pause and resume schedules"))
        constraints = (
            models.CheckConstraint(
                condition=models.Q(cron="", interval_seconds__isnull=False)
                | models.Q(~models.Q(cron=""), interval_seconds__isnull=True),
                name="schedule_cron_or_interval",
            ),
        )

    def __str__(self) -> str:
        return self.name

    @property
    def recurrence(self) -> Recurrence:
        """When it ticks, its start and end left aside."""
        if self.interval_seconds is not None:
            return Every(self.interval_seconds, self.starts_at or self.created_at.replace(microsecond=0))
        return Cron(self.cron, ZoneInfo(self.time_zone))

    def tick_after(self, instant: datetime) -> datetime | None:
        """Its first tick later than ``instant``."""
        if self.starts_at is not None:
            instant = max(instant, self.starts_at - timedelta(microseconds=1))
        at = self.recurrence.after(instant)
        return at if at is not None and (self.ends_at is None or at <= self.ends_at) else None

    def upcoming(self) -> Iterator[datetime]:
        """The ticks to come, as far as they are known now."""
        at = self.next_at
        while at is not None:
            yield at
            at = self.tick_after(at)

    def ticks_back_from(self, now: datetime) -> Iterator[datetime]:
        """The ticks that are due at ``now`` and not dealt with, the latest first; it may be very many."""
        if self.next_at is not None:
            for at in self.recurrence.back_from(now if self.ends_at is None else min(now, self.ends_at)):
                if at < self.next_at:
                    return
                yield at


class TickOutcome(models.TextChoices):
    ENQUEUED = "enqueued", "made a job"
    OVERLAPPED = "overlapped", "left out: the job before had not ended"
    MISSED = "missed", "not made up for, with those before it"
    REFUSED = "refused", "the job was refused"


class ScheduleTick(models.Model):
    """What became of one tick of a schedule, once; or, with ``manual``, a run that somebody asked for."""

    schedule = models.ForeignKey(Schedule, on_delete=models.CASCADE, related_name="ticks")
    at = models.DateTimeField(db_index=True)
    manual = models.BooleanField(default=False)
    outcome = models.CharField(max_length=10, choices=TickOutcome.choices, default=TickOutcome.ENQUEUED)
    detail = models.TextField(blank=True)
    job: models.ForeignKey[Job | None, Job | None] = models.ForeignKey(
        "jobs.Job", null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        constraints = (
            models.UniqueConstraint("schedule", "at", name="schedule_tick_once", condition=models.Q(manual=False)),
        )

    def __str__(self) -> str:
        return f"{self.schedule_id} {self.at:%Y-%m-%d %H:%M:%S}"
