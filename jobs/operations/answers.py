"""What comes to waiting jobs from outside: their time, or somebody's answer, which may come before they wait."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db.models.expressions import Combinable
from django.db.models.functions import Now

from jobs.clock import in_seconds
from jobs.events.ledger import Ledger, ledger
from jobs.failpoints import failpoint
from jobs.lookup import one
from jobs.models import Job, Wait
from jobs.models_steps import JobStep, StepKind
from jobs.models_waits import WaitState
from jobs.operations.apart import in_halves
from jobs.operations.leases import lock_held
from jobs.operations.transitions import Move, apply, lock, record_step, record_steps, resume
from jobs.states import Status

TIMED_OUT = {"code": "timed_out", "detail": "no answer came in time"}


def sleep(job_id: int, token: int, *, name: str, until: datetime | Combinable) -> None:
    """Suspend the job until then."""
    with ledger() as book:
        job = lock_held(job_id, token)
        _suspend(book, job, name=name, kind=StepKind.SLEEP, due_at=until)


def receive(
    job_id: int, token: int, *, name: str, kind: StepKind = StepKind.ANSWER, timeout: timedelta | None
) -> JobStep | None:
    """Suspend the job until ``give`` brings an answer under this name; at once the step of one that came before."""
    with ledger() as book:
        job = lock_held(job_id, token)
        early = one(Wait.objects.filter(job=job, run=job.run, name=name, state=WaitState.ANSWERED))
        if early is not None:
            return record_step(job, name=name, kind=kind, result=early.answer)
        due_at = None if timeout is None else in_seconds(timeout.total_seconds())
        _suspend(book, job, name=name, kind=kind, due_at=due_at)
        return None


def _suspend(book: Ledger, job: Job, *, name: str, kind: StepKind, due_at: datetime | Combinable | None) -> None:
    Wait.objects.bulk_create(
        [Wait(job=job, run=job.run, name=name, kind=kind, awaited_at=Now(), due_at=due_at)],
        update_conflicts=True,
        unique_fields=["job", "run", "name"],
        update_fields=["kind", "awaited_at", "due_at"],
    )
    apply(book, [Move(job, Status.WAITING, "job.waiting", {"step": name})])
    failpoint("in_wait")


def give(book: Ledger, job: Job, *, name: str, answer: Any) -> bool:
    """Answer what this run of a job (locked here, not ended) waits for under the name, or will wait for.

    ``False`` if it was answered before, or its time was up: the answer that was there first stands.
    """
    wait, _ = Wait.objects.select_for_update().get_or_create(
        job=job, run=job.run, name=name, defaults={"kind": StepKind.ANSWER}
    )
    if wait.state != WaitState.OPEN:
        return False
    wait.state, wait.answer = WaitState.ANSWERED, answer
    wait.save(update_fields=["state", "answer"])
    if wait.awaited_at is not None:
        record_step(job, name=name, kind=StepKind(wait.kind), result=answer)
        resume(book, [(job, name)])
    return True


def wake(limit: int) -> int:
    """Let up to ``limit`` jobs go on whose time is up; how many were due, none if nothing could be done."""
    due = list(Wait.objects.due().order_by("due_at").values_list("job", "pk")[:limit])
    return len(due) if in_halves(due, _wake) else 0


def _wake(due: Sequence[tuple[int, int]]) -> set[int]:
    """``due``: the ids of jobs and of what they wait for."""
    with ledger() as book:
        # A job that somebody else holds is being answered or called off; the next tick looks again.
        jobs = lock([job for job, _ in due], skip_locked=True)
        jobs = {pk: job for pk, job in jobs.items() if job.status == Status.WAITING}
        _go_on(book, jobs, list(Wait.objects.due().filter(pk__in=[wait for _, wait in due], job__in=jobs)))
        failpoint("in_wake")
        return set(jobs)


def _go_on(book: Ledger, jobs: dict[int, Job], waits: Sequence[Wait]) -> None:
    late = [wait.pk for wait in waits if wait.kind != StepKind.SLEEP]
    Wait.objects.filter(pk__in=[wait.pk for wait in waits]).exclude(pk__in=late).update(state=WaitState.ANSWERED)
    Wait.objects.filter(pk__in=late).update(state=WaitState.LATE)
    record_steps([_step_of(jobs[wait.job_id], wait) for wait in waits])
    resume(book, [(jobs[wait.job_id], wait.name) for wait in waits])


def _step_of(job: Job, wait: Wait) -> JobStep:
    error = None if wait.kind == StepKind.SLEEP else dict(TIMED_OUT)
    return JobStep(job=job, run=job.run, name=wait.name, kind=wait.kind, attempt=job.attempt, error=error)
