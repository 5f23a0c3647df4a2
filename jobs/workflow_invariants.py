"""What must hold of workflows between any two transactions; see ``jobs.invariants``."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.db.models.fields.json import KeyTextTransform

from jobs.invariants import MOST_ROWS, Row
from jobs.models_events import JobEvent
from jobs.models_workflows import Confirmation, ConfirmationState, StepState, WorkflowStep

STARTED, COMPLETED = "workflow.step.started", "workflow.step.completed"


def _rows(found: QuerySet[Any], *columns: str) -> list[Row]:
    return list(found.values(*columns)[:MOST_ROWS])


def workflow_steps_are_told_once() -> list[Row]:
    """A step of a run was told to have started once and to have been completed once, if it was at all."""
    told = JobEvent.objects.filter(event__in=[STARTED, COMPLETED]).order_by()
    twice = told.annotate(step=KeyTextTransform("step", "data")).values("job", "run", "event", "step")
    return _rows(twice.annotate(n=Count("id")).filter(n__gt=1), "job", "run", "event", "step", "n")


def workflow_steps_are_told_as_they_are() -> list[Row]:
    """What was begun was told to have started, and what is completed, and nothing else, to be so."""
    mine = JobEvent.objects.annotate(step=KeyTextTransform("step", "data")).filter(
        job=OuterRef("job"), run=OuterRef("run"), step=OuterRef("name")
    )
    steps = WorkflowStep.objects.filter(job__scope__isnull=False).annotate(
        started=Exists(mine.filter(event=STARTED)), completed=Exists(mine.filter(event=COMPLETED))
    )
    wrong = Q(started=False) | Q(state=StepState.COMPLETED, completed=False)
    wrong |= Q(completed=True) & ~Q(state=StepState.COMPLETED)
    return _rows(steps.filter(wrong), "job", "run", "name", "state", "started", "completed")


def confirmations_are_by_somebody() -> list[Row]:
    """What is confirmed has its time and what was said; what is not has neither."""
    said = Confirmation.objects.annotate(
        said=Exists(Confirmation.objects.filter(pk=OuterRef("pk"), texts__confirms=True))
    )
    confirmed = Q(state=ConfirmationState.CONFIRMED)
    wrong = (confirmed & (Q(said=False) | Q(confirmed_at=None))) | (~confirmed & Q(said=True))
    return _rows(said.filter(wrong), "id", "job", "step", "version", "state")


SAFETY = (workflow_steps_are_told_once, workflow_steps_are_told_as_they_are, confirmations_are_by_somebody)
