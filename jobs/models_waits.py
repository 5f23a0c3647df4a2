"""What jobs wait for from outside: a time, or somebody's answer."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from jobs.models import Job
from jobs.models_steps import StepKind


class WaitState(models.TextChoices):
    OPEN = "open"
    ANSWERED = "answered"
    LATE = "late"  # its time was up before an answer came
    WITHDRAWN = "withdrawn"  # its job ended before an answer came


class WaitQuerySet(models.QuerySet["Wait"]):
    def open(self) -> WaitQuerySet:
        """What no answer has come for, and no end."""
        return self.filter(state=WaitState.OPEN)

    def due(self) -> WaitQuerySet:
        """Open, and its time is up."""
        return self.open().filter(due_at__lte=Now())


class Wait(models.Model):
    """A time or an answer that one run of a job waits for under a name, or will: the answer may come first.

    ``awaited_at``: since when the job is suspended for it. ``due_at``: when it goes on without an answer; for a sleep
    that is all. Who has the token behind ``digest`` may answer, if ``verifier`` (when it names one) believes him.
    """

    job = models.ForeignKey(Job, on_delete=models.CASCADE, db_index=False, related_name="waits")
    run = models.PositiveIntegerField(default=1)
    name = models.CharField(max_length=100)
    kind = models.CharField(max_length=10, choices=StepKind.choices)
    state = models.CharField(max_length=10, choices=WaitState.choices, default=WaitState.OPEN)
    digest = models.CharField(max_length=64, null=True, blank=True, unique=True)
    verifier = models.CharField(max_length=50, blank=True)
    answer = models.JSONField(null=True, blank=True)
    awaited_at = models.DateTimeField(null=True, blank=True)
    due_at = models.DateTimeField(null=True, blank=True)
    at = models.DateTimeField(db_default=Now())

    objects = WaitQuerySet.as_manager()

    class Meta:
        indexes = (models.Index("due_at", name="wait_due", condition=models.Q(state="open", due_at__isnull=False)),)
        constraints = (models.UniqueConstraint("job", "run", "name", name="wait_once"),)

    def __str__(self) -> str:
        return self.name
