"""What a handler has done and what it wrote about it."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from jobs.models import Job


class StepKind(models.TextChoices):
    STEP = "step"
    COMMIT = "commit"
    IO = "io"
    CALL = "call"
    DECIDE = "decide"
    SLEEP = "sleep"
    CALLBACK = "callback"
    ANSWER = "answer"


class JobStep(models.Model):
    """A finished step of a job's run: what it gave, so that it is not run again.

    A failed call is kept for the attempt it failed in only; the next attempt runs it anew.
    """

    job = models.ForeignKey(Job, on_delete=models.CASCADE, db_index=False, related_name="steps")
    run = models.PositiveIntegerField(default=1)
    name = models.CharField(max_length=100)
    kind = models.CharField(max_length=10, choices=StepKind.choices)
    attempt = models.PositiveIntegerField()
    result = models.JSONField(null=True, blank=True)
    error = models.JSONField(null=True, blank=True)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = (models.UniqueConstraint("job", "run", "name", name="job_step_once"),)

    def __str__(self) -> str:
        return self.name


class JobLog(models.Model):
    """A line a handler wrote about its work."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="logs", db_index=False)
    attempt = models.PositiveIntegerField()
    text = models.TextField()
    at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = (models.Index("job", "id", name="job_log_lines"),)

    def __str__(self) -> str:
        return self.text
