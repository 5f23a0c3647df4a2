"""How far a workflow is, step by step: those that ran, the one that runs, and those to come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from django.db.models import OuterRef, QuerySet, Subquery

from jobs.models import Job
from jobs.models_workflows import Confirmation, ConfirmationState, StepState, WorkflowStep
from jobs.owners import may_steer
from jobs.states import Status
from jobs.workflows import Workflow

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser, AnonymousUser

JobRows = TypeVar("JobRows", bound=QuerySet[Job])

TO_COME, STOPPED, LEFT_OUT = "to_come", "stopped", "left_out"


@dataclass(frozen=True, kw_only=True)
class StepShown:
    """One step. ``state``: to_come, running, completed, failed, stopped (its request ended), or left_out."""

    name: str
    title: str
    index: int
    state: str
    percent: int
    message: str


@dataclass(frozen=True, kw_only=True)
class Progress:
    """All steps in their order. ``confirmation`` is what may be confirmed now, for those who may."""

    title: str
    automation: str
    steps: list[StepShown]
    percentage: int
    confirmation: Confirmation | None

    @property
    def current(self) -> StepShown | None:
        """The step that runs."""
        return next((step for step in self.steps if step.state == StepState.RUNNING), None)


def progress_of(job: Job, user: AbstractBaseUser | AnonymousUser) -> Progress | None:
    """How far it is, as this user may see it; ``None`` for a request that is no workflow."""
    workflow = job.workflow
    if workflow is None:
        return None
    begun = {step.name: step for step in WorkflowStep.objects.filter(job=job, run=job.run).order_by("pk")}
    return Progress(
        title=workflow.title,
        automation=str(job.payload.get("automation") or workflow.automation),
        steps=[
            _shown(job, index, step.name, step.title, begun.get(step.name))
            for index, step in enumerate(workflow.steps, 1)
        ],
        percentage=_percentage(job, workflow, list(begun.values())),
        confirmation=asked_of(job) if may_steer(user, job) else None,
    )


def with_step(jobs: JobRows) -> JobRows:
    """With what ``step_of`` needs, in the same statement."""
    begun = WorkflowStep.objects.filter(job=OuterRef("pk"), run=OuterRef("run")).order_by("-pk")
    last = {"step_name": Subquery(begun.values("name")[:1]), "step_percent": Subquery(begun.values("percent")[:1])}
    annotated: JobRows = jobs.annotate(**last)
    return annotated


def step_of(job: Job) -> str:
    """The step that a row of ``with_step`` is at, and how much is done; nothing for what is no workflow."""
    name, percent = getattr(job, "step_name", None), getattr(job, "step_percent", None)
    step = job.workflow.step(name) if job.workflow and name else None
    if job.workflow is None or step is None:
        return ""
    index, whole = job.workflow.index(step.name), len(job.workflow.steps)
    return f"{step.title}, {index} of {whole}, {job.workflow.percentage(step.name, percent or 0)} %"


def asked_of(job: Job) -> Confirmation | None:
    """What the request has somebody confirm. It may not have come to waiting yet: nobody is told of that any more."""
    if job.ended:
        return None
    mine = Confirmation.objects.filter(job=job, run=job.run, state=ConfirmationState.OPEN)
    return mine.order_by("-pk").first()


def _shown(job: Job, index: int, name: str, title: str, begun: WorkflowStep | None) -> StepShown:
    if begun is None:
        state = LEFT_OUT if job.ended else TO_COME
    else:
        state = STOPPED if job.ended and begun.state == StepState.RUNNING else begun.state
    return StepShown(
        name=name,
        title=title,
        index=index,
        state=state,
        percent=round(begun.percent) if begun else 0,
        message=begun.message if begun else "",
    )


def _percentage(job: Job, workflow: Workflow, begun: list[WorkflowStep]) -> int:
    if job.status == Status.COMPLETED:
        return 100
    known = [step for step in begun if workflow.step(step.name)]
    return workflow.percentage(known[-1].name, known[-1].percent) if known else 0
