"""What the queue keeps: jobs, their events and steps, lanes, scopes, workers, idempotency keys, the leader.

Facts and questions only; every change is a function in ``jobs.operations``.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import models
from django.db.models import Subquery
from django.db.models.functions import Now
from uuid6 import uuid7

from jobs.states import FINAL, OPEN, Outcome, RequestStatus, Status, request_status

if TYPE_CHECKING:
    from jobs.registry import JobType
    from jobs.workflows import Workflow


class Lane(models.Model):
    """A line of jobs that run strictly one after another; its row's lock orders them."""

    key = models.CharField(max_length=200, unique=True)
    next_place = models.BigIntegerField(default=1)

    def __str__(self) -> str:
        return self.key


class Scope(models.Model):
    """A stream of numbered events (a game's); ``head`` is the number of the last one."""

    key = models.CharField(max_length=200, unique=True)
    head = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return self.key


class Worker(models.Model):
    """A worker process and its lease, which covers every job it runs."""

    name = models.CharField(max_length=200)
    queues = models.JSONField(default=list)
    slots = models.PositiveIntegerField()
    lost_slots = models.PositiveIntegerField(default=0)
    started_at = models.DateTimeField(db_default=Now())
    beat_at = models.DateTimeField(db_default=Now())
    lease_until = models.DateTimeField(db_index=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.name


class JobQuerySet(models.QuerySet["Job"]):
    def open(self) -> JobQuerySet:
        """Not ended."""
        return self.filter(status__in=OPEN)

    def not_begun(self) -> JobQuerySet:
        """Neither begun nor ended: by columns that say so in the words of an index, which a list of statuses does not
        in SQLite."""
        return self.filter(started_at=None, finished_at=None)

    def roots(self) -> JobQuerySet:
        """Requests: jobs that no other job called."""
        return self.filter(parent=None)

    def in_scope(self, key: str) -> JobQuerySet:
        """Of the scope with this key. It is looked up first: of a join PostgreSQL can't tell how many it will find."""
        return self.filter(scope=Subquery(Scope.objects.filter(key=key).values("pk")))

    def of_owner(self, username: str) -> JobQuerySet:
        """Asked for by the user of this name, who is looked up first."""
        return self.filter(owner=Subquery(get_user_model().objects.filter(username=username).values("pk")))

    def in_order(self) -> JobQuerySet:
        """The order in which queued jobs are handed out."""
        return self.order_by("priority", "rank", "id")

    def ready(self, queue: str) -> JobQuerySet:
        """What may run in this queue, but for room and order."""
        return self.filter(queue=queue, status=Status.QUEUED, held_back_by="")


class Job(models.Model):
    """A durable function call. ``id`` is internal; ``public_id`` is what the outside knows."""

    public_id = models.UUIDField(unique=True, default=uuid7, editable=False)
    type = models.CharField(max_length=100)
    version = models.PositiveSmallIntegerField(default=1)
    queue = models.CharField(max_length=100)
    status = models.CharField(max_length=10, choices=Status.choices)
    outcome = models.CharField(max_length=10, choices=Outcome.choices, blank=True)
    priority = models.SmallIntegerField(default=0)
    fair_key = models.CharField(max_length=200, blank=True, default="", db_default="")
    rank = models.BigIntegerField(default=0, db_default=0)
    concurrency_key = models.CharField(max_length=200, blank=True, default="", db_default="")
    held_back_by = models.CharField(max_length=210, blank=True, default="", db_default="")

    run = models.PositiveIntegerField(default=1)
    token = models.PositiveIntegerField(default=0)
    attempt = models.PositiveIntegerField(default=1)
    max_attempts = models.PositiveIntegerField()
    strikes = models.PositiveIntegerField(default=0)
    lease_losses = models.PositiveIntegerField(default=0)
    worker = models.ForeignKey(
        Worker,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        db_constraint=False,
        db_index=False,
        related_name="jobs",
    )
    backoff = models.JSONField(null=True, blank=True)
    timeout_seconds = models.FloatField(null=True, blank=True)
    keep_seconds = models.FloatField(null=True, blank=True)
    unique_key = models.CharField(max_length=200, blank=True)
    fingerprint = models.CharField(max_length=16, blank=True)
    ticketed = models.BooleanField(default=False)
    awaiting_approval = models.BooleanField(default=False)
    depended_on = models.BooleanField(default=False, db_default=False)

    payload = models.JSONField()
    result = models.JSONField(null=True, blank=True)
    error = models.JSONField(null=True, blank=True)
    progress = models.JSONField(null=True, blank=True)

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, db_index=False, related_name="+"
    )
    scope = models.ForeignKey(
        Scope, null=True, blank=True, on_delete=models.PROTECT, related_name="jobs", db_index=False
    )
    lane = models.ForeignKey(Lane, null=True, blank=True, on_delete=models.PROTECT, db_index=False, related_name="jobs")
    place = models.BigIntegerField(null=True, blank=True)
    parent = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, db_index=False, related_name="children"
    )
    root = models.ForeignKey("self", null=True, blank=True, on_delete=models.PROTECT, db_index=False, related_name="+")
    step = models.CharField(max_length=100, blank=True)

    created_at = models.DateTimeField(db_default=Now())
    queued_at = models.DateTimeField(db_default=Now())
    scheduled_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = JobQuerySet.as_manager()

    class Meta:
        # A row is written three times in its life, into every index whose condition holds: so none is without need.
        indexes = (
            models.Index("worker", name="job_worker", condition=models.Q(worker__isnull=False)),
            models.Index("owner", "public_id", name="job_of_owner", condition=models.Q(owner__isnull=False)),
            models.Index("lane", name="job_of_lane", condition=models.Q(lane__isnull=False)),
            models.Index("parent", name="job_parent", condition=models.Q(parent__isnull=False)),
            models.Index("root", name="job_root", condition=models.Q(root__isnull=False)),
            models.Index(
                "queue",
                "ticketed",
                "priority",
                "rank",
                "id",
                name="job_ready",
                condition=models.Q(status="queued", held_back_by=""),
            ),
            models.Index(
                "queue", "priority", "fair_key", "rank", name="job_in_flow", condition=models.Q(status="queued")
            ),
            models.Index(
                "queue", "priority", "rank", "fair_key", name="job_at_work", condition=models.Q(status="running")
            ),
            models.Index(
                "queue",
                "priority",
                "rank",
                "fair_key",
                name="job_begun",
                condition=models.Q(started_at__isnull=False) & ~models.Q(status="running"),
            ),
            models.Index(
                "held_back_by",
                "queue",
                "priority",
                "rank",
                "id",
                name="job_held_back_in",
                condition=~models.Q(held_back_by=""),
            ),
            models.Index(
                fields=["concurrency_key"],
                name="job_permit_by_path",
                opclasses=["varchar_pattern_ops"],  # of PostgreSQL: what lies beneath a path, in any collation
                condition=models.Q(started_at__isnull=False, status__in=sorted(OPEN)) & ~models.Q(concurrency_key=""),
            ),
            models.Index(
                "owner",
                "queue",
                name="job_waiting_of",
                condition=models.Q(owner__isnull=False, started_at__isnull=True, status__in=sorted(OPEN)),
            ),
            models.Index(
                "scope",
                "queue",
                name="job_waiting_in",
                condition=models.Q(scope__isnull=False, started_at__isnull=True, status__in=sorted(OPEN)),
            ),
            models.Index(
                "queue",
                name="job_to_come",
                condition=models.Q(started_at__isnull=True, status__in=sorted({Status.PENDING, Status.SCHEDULED})),
            ),
            models.Index("scheduled_at", name="job_due", condition=models.Q(status="scheduled")),
            models.Index(
                "lane",
                "place",
                name="job_lane",
                condition=models.Q(status__in=sorted(OPEN), place__isnull=False),
            ),
            models.Index(
                "expires_at",
                name="job_to_begin",
                condition=models.Q(expires_at__isnull=False, started_at__isnull=True, finished_at__isnull=True),
            ),
            models.Index("scope", "public_id", name="job_in_scope", condition=models.Q(scope__isnull=False)),
            models.Index("type", "public_id", name="job_type"),
            models.Index("fingerprint", "id", name="job_dead", condition=models.Q(status="dead")),
            models.Index("status", "finished_at", name="job_ended", condition=models.Q(finished_at__isnull=False)),
            models.Index(
                "keep_seconds", "finished_at", name="job_kept", condition=models.Q(keep_seconds__isnull=False)
            ),
            models.Index(
                "cancel_requested_at",
                name="job_called_off",
                condition=models.Q(status="waiting", cancel_requested_at__isnull=False),
            ),
        )
        permissions = (
            ("inspect_job", "Can see what jobs hold: payload, result, errors, steps, logs"),
            ("cancel_job", "Can call jobs off"),
            ("revive_job", "Can run dead jobs again"),
            ("rerun_job", "Can run ended jobs again as new ones"),
            ("promote_job", "Can let delayed jobs run now"),
            ("reprioritise_job", "Can change the priority of jobs"),
            ("remove_job", "Can remove ended jobs"),
        )
        constraints = (
            models.UniqueConstraint(
                "type",
                "unique_key",
                name="job_unique_while_open",
                condition=models.Q(status__in=sorted(OPEN)) & ~models.Q(unique_key=""),
            ),
            models.CheckConstraint(condition=models.Q(status__in=Status.values), name="job_status_known"),
            models.CheckConstraint(
                condition=models.Q(lane__isnull=False) | models.Q(place__isnull=True),
                name="job_place_has_lane",
            ),
        )

    def __str__(self) -> str:
        return f"{self.type} {self.public_id}"

    @property
    def root_id_or_self(self) -> int:
        """The id of the request this job works for."""
        return self.root_id or self.pk

    @property
    def ended(self) -> bool:
        """Whether the status is final."""
        return self.status in FINAL

    @property
    def request_status(self) -> RequestStatus:
        """The public status, if this is a root."""
        return request_status(
            status=self.status,
            outcome=self.outcome,
            started=self.started_at is not None,
            awaiting_approval=self.awaiting_approval,
        )

    def declared(self) -> JobType:
        """The job's type in the version it began with; ``KeyError`` if this process does not know it."""
        from jobs.registry import job_type

        return job_type(self.type, self.version)

    @property
    def workflow(self) -> Workflow | None:
        """The steps that this request goes through; ``None`` for other jobs, those that a request called, and those
        of a type that this process does not know."""
        if self.parent_id is not None:
            return None
        try:
            return self.declared().workflow
        except KeyError:
            return None


class IdempotencyKey(models.Model):
    """The first use of a caller's key for an operation (a job type and a scope), and the job it was given."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, db_index=False, related_name="+")
    operation = models.CharField(max_length=301)
    key = models.CharField(max_length=200)
    digest = models.CharField(max_length=64)
    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="+")
    at = models.DateTimeField(db_default=Now(), db_index=True)

    class Meta:
        indexes = (models.Index("key", name="idempotency_by_key"),)
        constraints = (models.UniqueConstraint("owner", "operation", "key", name="idempotency_once"),)

    def __str__(self) -> str:
        return self.key


class Leadership(models.Model):
    """The one scheduler that runs the services; whoever holds an unexpired lease leads."""

    name = models.CharField(max_length=50, unique=True)
    holder = models.CharField(max_length=200, blank=True)
    lease_until = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"{self.name}: {self.holder or 'nobody'}"


def request_uuid(value: Any) -> uuid.UUID | None:
    """A public id from outside, or ``None`` if it is not one."""
    try:
        return uuid.UUID(str(value))
    except ValueError:
        return None


from jobs.models_dependencies import Dependency, IfDead  # noqa: E402, F401 - one room, one models module
from jobs.models_events import JobEvent as JobEvent  # noqa: E402
from jobs.models_limits import Bucket as Bucket  # noqa: E402
from jobs.models_limits import Limit as Limit  # noqa: E402
from jobs.models_metrics import Incident, QueueSettings, Rollup, Tally  # noqa: E402, F401
from jobs.models_operating import QueueControl as QueueControl  # noqa: E402
from jobs.models_schedules import Schedule, ScheduleTick  # noqa: E402, F401
from jobs.models_steps import JobLog, JobStep, StepKind  # noqa: E402, F401
from jobs.models_tags import JobTag as JobTag  # noqa: E402
from jobs.models_waits import Wait as Wait  # noqa: E402
from jobs.models_workflows import Confirmation, ConfirmationText, WorkflowStep  # noqa: E402, F401
