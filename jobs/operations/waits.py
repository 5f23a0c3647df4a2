"""Suspending a job: what it waits for is created in the transaction that makes it wait."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jobs import registry
from jobs.events.ledger import Ledger, ledger
from jobs.failpoints import failpoint
from jobs.models import Job
from jobs.models_steps import StepKind
from jobs.operations.asking import validated
from jobs.operations.children import insert_child, insert_children
from jobs.operations.leases import lock_held
from jobs.operations.transitions import Move, answer, apply, record_step
from jobs.registry import Call, DecisionAsked, JobType
from jobs.states import Status


def call(job_id: int, token: int, *, name: str, job_type: JobType, payload: dict[str, Any]) -> None:
    """Start a child job and make its parent wait for it. Raises ``LeaseLost``, and ``Invalid`` for the payload."""
    body = validated(job_type, payload)
    with ledger() as book:
        job = lock_held(job_id, token)
        insert_child(book, job, job_type, body, step=name)
        apply(book, [Move(job, Status.WAITING, "job.waiting", {"step": name})])
        failpoint("in_call")


def gather(job_id: int, token: int, *, name: str, calls: Sequence[tuple[str, Call]]) -> None:
    """Start child jobs, each under its step's name, and make their parent wait for all of them."""
    bodies = [(step, call.job_type, validated(call.job_type, call.payload)) for step, call in calls]
    with ledger() as book:
        job = lock_held(job_id, token)
        insert_children(book, job, bodies)
        apply(book, [Move(job, Status.WAITING, "job.waiting", {"step": name})])
        failpoint("in_call")


def tell_misuse(job_id: int, token: int, error: dict[str, Any]) -> None:
    """Note on a job that suspended which rule its handler broke in doing so: its next claim fails by it."""
    Job.objects.filter(pk=job_id, token=token).update(error=error)


def decide(
    job_id: int, token: int, *, name: str, subject: str, version: int, draft: dict[str, Any]
) -> dict[str, Any] | None:
    """Ask for a decision and make the job wait for it; the ruling at once where nobody needs to be asked."""
    with ledger() as book:
        job = lock_held(job_id, token)
        ruling = registry.decisions().open(book, DecisionAsked(job, subject, version, draft))
        if ruling is not None:
            record_step(job, name=name, kind=StepKind.DECIDE, result=ruling)
            return ruling
        await_approval(job, waiting=True)
        apply(book, [Move(job, Status.WAITING, "job.waiting", {"step": name})])
        failpoint("in_decide")
        return None


def resume(book: Ledger, job: Job, *, name: str, ruling: dict[str, Any], settled: bool) -> None:
    """Give a waiting job (locked here) its ruling. ``settled`` false: another draft follows, people still wait."""
    await_approval(job, waiting=not settled)
    if job.status == Status.WAITING:
        answer(book, job, name=name, kind=StepKind.DECIDE, result=ruling)


def await_approval(job: Job, *, waiting: bool) -> None:
    """Say on the request's row whether a person is deciding about it; ``job`` is locked here."""
    if job.root_id is None and job.awaiting_approval == waiting:
        return
    job.awaiting_approval = waiting
    Job.objects.filter(pk=job.root_id_or_self).update(awaiting_approval=waiting)
