"""A declared step of a workflow begins, and tells how far it is."""

from __future__ import annotations

from jobs.errors import PermanentError
from jobs.events.ledger import ledger
from jobs.failpoints import failpoint
from jobs.lookup import one
from jobs.models import Job, Scope
from jobs.models_workflows import StepState, WorkflowStep
from jobs.operations.leases import held, lock_held
from jobs.operations.step_events import tell
from jobs.operations.transitions import lock
from jobs.owners import may_run


def begin(job_id: int, token: int, *, name: str) -> None:
    """The step is about to run, with its owner's rights: ``PermanentError`` ``forbidden`` if they no longer do."""
    with ledger() as book:
        job = lock_held(job_id, token)
        _require_right(job)
        step = one(WorkflowStep.objects.filter(job=job, run=job.run, name=name))
        if step is None:  # and nobody else can be about to make it: the job's row is locked
            WorkflowStep.objects.create(job=job, run=job.run, name=name)
            tell(book, job, "started", name)
        elif step.state == StepState.FAILED:
            WorkflowStep.objects.filter(pk=step.pk).update(state=StepState.RUNNING, message="", ended_at=None)
        failpoint(f"in_begin:{name}")
    failpoint(f"after_begin:{name}")


def _require_right(job: Job) -> None:
    if job.workflow is None or job.scope is None:
        return
    if job.owner is None:
        raise PermanentError("forbidden", "the owner, with whose rights it runs, is gone")
    if not may_run(job.owner, job.workflow, job.scope.key):
        raise PermanentError("forbidden", f"{job.owner.get_username()} may no longer do this here")


def progress(job_id: int, token: int, *, name: str, percent: float, message: str) -> bool:
    """How far the step is; nothing, if the claim is over or the step has ended.

    ``False`` if somebody else holds the job or its scope: nobody is waited for, because the caller has a heart to keep
    beating.
    """
    with ledger() as book:
        job = lock([job_id], skip_locked=True).get(job_id)
        if job is None or job.scope_id is None or not _is_free(job.scope_id):
            return job is not None and job.scope_id is None
        running = WorkflowStep.objects.filter(job=job, run=job.run, name=name, state=StepState.RUNNING)
        if held(job, token) and running.update(percent=percent, message=message):
            tell(book, job, "progress", name, percent=percent, message=message)
        return True


def _is_free(scope_id: int) -> bool:
    """Whether the events of this scope can be numbered at once; if so they are ours to number."""
    return Scope.objects.select_for_update(skip_locked=True).filter(pk=scope_id).first() is not None
