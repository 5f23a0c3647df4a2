"""How far workflows are, and what people are asked to confirm in them."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from jobs.models import Job


class StepState(models.TextChoices):
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"


class WorkflowStep(models.Model):
    """A declared step that was begun. ``percent`` is how far the step itself is."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, db_index=False, related_name="workflow_steps")
    run = models.PositiveIntegerField(default=1)
    name = models.CharField(max_length=100)
    state = models.CharField(max_length=10, choices=StepState.choices, default=StepState.RUNNING)
    percent = models.FloatField(default=0)
    message = models.TextField(blank=True, default="")
    began_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = (models.UniqueConstraint("job", "run", "name", name="workflow_step_once"),)

    def __str__(self) -> str:
        return self.name


class ConfirmationState(models.TextChoices):
    OPEN = "open"
    CONFIRMED = "confirmed"
    FELL_BACK = "fell_back"  # nobody confirmed it in time, or with too many other words


class Confirmation(models.Model):
    """Somebody is asked to confirm one step, at one version of what it shows. ``attempts`` counts other texts."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, db_index=False, related_name="confirmations")
    run = models.PositiveIntegerField(default=1)
    step = models.CharField(max_length=100)
    version = models.PositiveIntegerField(default=1)
    state = models.CharField(max_length=10, choices=ConfirmationState.choices, default=ConfirmationState.OPEN)
    draft = models.JSONField(null=True, blank=True)
    keywords = models.JSONField(default=list)
    most_attempts = models.PositiveIntegerField()
    attempts = models.PositiveIntegerField(default=0)
    due_at = models.DateTimeField()
    opened_at = models.DateTimeField(db_default=Now())
    confirmed_at = models.DateTimeField(null=True, blank=True)
    confirmed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        constraints = (models.UniqueConstraint("job", "run", "step", "version", name="confirmation_once"),)

    def __str__(self) -> str:
        return f"{self.step}, version {self.version}"

    @property
    def is_open(self) -> bool:
        """Whether somebody may still confirm it, if its job has not ended."""
        return self.state == ConfirmationState.OPEN


class ConfirmationText(models.Model):
    """What somebody said to a confirmation. ``key`` is the caller's, the same for the same saying."""

    confirmation = models.ForeignKey(Confirmation, on_delete=models.CASCADE, related_name="texts")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    text = models.TextField(blank=True)
    key = models.CharField(max_length=200, blank=True, default="")
    confirms = models.BooleanField()
    at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return self.text
