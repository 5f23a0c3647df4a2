"""What people are told of the declared steps of workflows, in the transaction in which it happens.

A step is told to have started once in a run, however often it is tried, and to have failed when an attempt ended in
it. All of it is numbered in the request's scope.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.db.models.functions import Now

from jobs.events.ledger import Ledger, ledger
from jobs.models import Job
from jobs.models_steps import JobStep
from jobs.models_workflows import StepState, WorkflowStep


def complete(book: Ledger, job: Job, name: str, *, message: str = "") -> None:
    """The step's result is being stored; told once."""
    done = WorkflowStep.objects.filter(job=job, run=job.run, name=name).exclude(state=StepState.COMPLETED)
    if done.update(state=StepState.COMPLETED, percent=100, message=message, ended_at=Now()):
        tell(book, job, "completed", name, percent=100, message=message)


def complete_recorded(steps: Iterable[JobStep]) -> None:
    """``complete`` for those of these just recorded steps that are declared, in the caller's ledger."""
    for step in steps:
        workflow = step.job.workflow if step.error is None else None
        if workflow is not None and workflow.step(step.name) is not None:
            with ledger() as book:
                complete(book, step.job, step.name)


def fail(book: Ledger, ended: Sequence[tuple[Job, str]]) -> None:
    """An attempt of each of these locked jobs has ended, in the step that was begun last; with why."""
    for job, why in ended:
        if job.workflow is None:
            continue
        for step in WorkflowStep.objects.filter(job=job, run=job.run, state=StepState.RUNNING).order_by("pk"):
            WorkflowStep.objects.filter(pk=step.pk).update(state=StepState.FAILED, message=why, ended_at=Now())
            tell(book, job, "failed", step.name, percent=step.percent, message=why)


def tell(
    book: Ledger,
    job: Job,
    what: str,
    name: str,
    *,
    percent: float = 0,
    message: str = "",
    private: dict[str, Any] | None = None,
) -> None:
    """``workflow.step.<what>`` in the scope of this locked job."""
    workflow = job.workflow
    step = workflow.step(name) if workflow else None
    if workflow is None or step is None:
        return
    data = {
        "step": name,
        "title": step.title,
        "index": workflow.index(name),
        "total": len(workflow.steps),
        "percentage": workflow.percentage(name, percent),
        "message": message,
    }
    book.tell(job, f"workflow.step.{what}", data, private=private)
