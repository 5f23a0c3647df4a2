"""What happened to jobs, and what those who watch a scope are told of it."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from jobs.models import Job, Scope


class JobEvent(models.Model):
    """One thing that happened. With ``scope`` and ``seq`` it is part of that scope's gapless stream.

    ``data`` is for everyone who sees the scope (``None``: nothing, they get ``hidden``), ``private`` for those who
    decide there. ``request`` is the root job's public id, ``status`` the request's status as of this event.
    """

    job = models.ForeignKey(
        Job, null=True, blank=True, on_delete=models.CASCADE, db_constraint=False, db_index=False, related_name="events"
    )
    scope = models.ForeignKey(
        Scope,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        db_constraint=False,
        db_index=False,
        related_name="events",
    )
    seq = models.BigIntegerField(null=True, blank=True)
    event = models.CharField(max_length=50)
    run = models.PositiveIntegerField(default=1)
    token = models.PositiveIntegerField(default=0)
    request = models.UUIDField(null=True, blank=True)
    kind = models.CharField(max_length=100, blank=True)
    status = models.CharField(max_length=20, blank=True)
    data = models.JSONField(null=True, blank=True)
    private = models.JSONField(null=True, blank=True)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = (models.Index("job", "id", name="job_event_timeline"),)
        constraints = (
            models.UniqueConstraint("scope", "seq", name="job_event_seq", condition=models.Q(scope__isnull=False)),
            models.UniqueConstraint(
                "job",
                "run",
                "event",
                name="job_event_final_once",
                condition=models.Q(
                    event__in=[
                        "job.completed",
                        "job.dead",
                        "job.cancelled",
                        "job.expired",
                        "request.completed",
                        "request.rejected",
                        "request.failed",
                        "request.cancelled",
                    ]
                ),
            ),
        )

    def __str__(self) -> str:
        return self.event
