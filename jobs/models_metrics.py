"""What is kept about the queue as a whole: measures per minute, incidents, and settings of single queues."""

from __future__ import annotations

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models.functions import Now

from jobs.models_limits import are_rates


class Rollup(models.Model):
    """What was counted or measured in a queue during one minute; many rows may tell of the same minute.

    ``measure`` is an event (``job.completed``: ``count`` of them) or a time (``run``: also their sum in ``seconds``
    and in ``buckets``, for each of ``jobs.measures.BOUNDS``, how many took no longer). The one row without ``minute``
    is the sum of all older ones, so that totals never fall.
    """

    minute = models.DateTimeField(null=True, db_index=True)
    queue = models.CharField(max_length=100)
    measure = models.CharField(max_length=50)
    count = models.BigIntegerField()
    seconds = models.FloatField(default=0.0)
    buckets = models.JSONField[list[int], list[int]](default=list)

    def __str__(self) -> str:
        return f"{self.queue} {self.measure}: {self.count}"


class Tally(models.Model):
    """How far the job events have been counted; its row's lock keeps two schedulers from counting one twice."""

    name = models.CharField(max_length=50, unique=True)
    cursor = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.name}: {self.cursor}"


class Incident(models.Model):
    """A condition that called for attention, from when it was seen until it had passed. It is told of once."""

    alert = models.CharField(max_length=50)
    subject = models.CharField(max_length=100, blank=True)
    detail = models.CharField(max_length=500)
    opened_at = models.DateTimeField(db_default=Now())
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                "alert", "subject", name="incident_open_once", condition=models.Q(closed_at__isnull=True)
            ),
        )

    def __str__(self) -> str:
        return f"{self.alert} {self.subject}".strip()


class QueueSettings(models.Model):
    """What holds for the jobs of one queue instead of their types' and the environment's; empty changes nothing."""

    queue = models.CharField(max_length=100, unique=True)
    timeout_seconds = models.FloatField(
        null=True, blank=True, validators=[MinValueValidator(0.1)], help_text="Longest run of one attempt."
    )
    max_attempts = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)], help_text="How often a new job is tried."
    )
    backoff_seconds = models.FloatField(
        null=True,
        blank=True,
        validators=[MinValueValidator(0.0)],
        help_text="Wait before the second attempt; it doubles each time.",
    )
    backoff_cap_seconds = models.FloatField(
        null=True, blank=True, validators=[MinValueValidator(0.0)], help_text="Longest wait between two attempts."
    )
    keep_seconds = models.FloatField(
        null=True, blank=True, validators=[MinValueValidator(0.0)], help_text="How long ended jobs are kept."
    )
    concurrency = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)], help_text="Jobs that run at once, over all workers."
    )
    waiting = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)], help_text="Requests that may wait in all."
    )
    waiting_per_user = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)], help_text="Requests of one user that may wait."
    )
    waiting_per_scope = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)], help_text="Requests of one game that may wait."
    )
    rate = models.CharField(
        max_length=100,
        blank=True,
        default="",
        db_default="",
        validators=[are_rates],
        help_text="Requests in all: 600/minute.",
    )
    rate_per_user = models.CharField(
        max_length=100,
        blank=True,
        default="",
        db_default="",
        validators=[are_rates],
        help_text="As 30/minute, 1000/day.",
    )
    rate_per_scope = models.CharField(
        max_length=100,
        blank=True,
        default="",
        db_default="",
        validators=[are_rates],
        help_text="Of one game: 60/minute.",
    )

    class Meta:
        verbose_name_plural = "queue settings"

    def __str__(self) -> str:
        return self.queue
