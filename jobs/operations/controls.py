"""What people do to jobs: call them off, and have dead ones run again."""

from __future__ import annotations

from typing import Any

from django.db.models import Q
from django.db.models.functions import Now

from jobs import registry
from jobs.errors import Conflict, NotFound
from jobs.events.ledger import Ledger, ledger
from jobs.models import Job
from jobs.operations.enqueue import validated
from jobs.operations.transitions import Move, apply, cancelled, lock, take_place
from jobs.states import Status


def cancel(job_id: int) -> Job:
    """Call off a request and everything beneath it; the root's row as it then stands.

    What does not run ends at once, children before the root. What runs is told to stop; a commit that gets there
    first wins. Asking twice changes nothing; a request that has ended is a ``Conflict`` with code ``ended``.
    """
    family = list(Job.objects.open().filter(Q(pk=job_id) | Q(root=job_id)).values_list("pk", "lane_id"))
    with ledger(lanes={lane for _, lane in family if lane is not None}) as book:
        jobs = lock([job_id, *(pk for pk, _ in family)])
        root = jobs.get(job_id)
        if root is None:
            raise NotFound("there is no such job")
        if root.ended:
            raise Conflict(f"the request has ended: {root.request_status.value}", code="ended")
        if root.cancel_requested_at is None:
            _ask_to_stop(jobs)
            _end_what_does_not_run(book, jobs)
    return root


def _ask_to_stop(jobs: dict[int, Job]) -> None:
    open_ = [job for job in jobs.values() if not job.ended]
    Job.objects.filter(pk__in=[job.pk for job in open_]).update(cancel_requested_at=Now())
    for job in open_:
        job.refresh_from_db(fields=["cancel_requested_at"])


def _end_what_does_not_run(book: Ledger, jobs: dict[int, Job]) -> None:
    """Youngest first: a child is always younger than its parent, and its end ends a parent that only waits for it."""
    for job in sorted(jobs.values(), key=lambda job: -job.pk):
        still_busy = job.status == Status.WAITING and job.children.open().exists()
        if not job.ended and job.status != Status.RUNNING and not still_busy:
            apply(book, [cancelled(job)], parents=jobs)


def revive(job_id: int, *, payload: dict[str, Any] | None = None) -> Job:
    """Run a dead, expired or cancelled request again, as its next run, at its lane's tail.

    A run begins from the first step, with fresh attempts, and with ``payload`` instead of the old one if it is given
    (``Invalid`` if the job type refuses it). Anything else is a ``Conflict`` with code ``not_dead``.
    """
    lane = Job.objects.filter(pk=job_id).values_list("lane", flat=True).first()
    with ledger(lanes=[lane] if lane is not None else ()) as book:
        job = lock([job_id]).get(job_id)
        if job is None:
            raise NotFound("there is no such job")
        if job.parent_id is not None or job.status not in (Status.DEAD, Status.EXPIRED, Status.CANCELLED):
            raise Conflict(f"only a request that failed can run again, and this is {job.status}", code="not_dead")
        changes = _afresh(job) | ({"payload": _accepted(job, payload)} if payload is not None else {})
        ahead = take_place(book, job) if lane is not None else 0
        to = Status.PENDING if ahead else Status.QUEUED
        apply(book, [Move(job, to, "job.revived", {"run": job.run + 1}, changes | {"place": job.place})])
        book.tell(job, "request.queued", {"kind": job.type, "position": ahead})
    return job


def _accepted(job: Job, payload: dict[str, Any]) -> dict[str, Any]:
    try:
        job_type = registry.job_type(job.type)
    except KeyError:
        raise Conflict(f"no code here knows jobs of type {job.type!r}", code="unknown_job_type") from None
    return validated(job_type, payload)


def _afresh(job: Job) -> dict[str, Any]:
    return {
        "run": job.run + 1,
        "attempt": 1,
        "error": None,
        "fingerprint": "",
        "result": None,
        "started_at": None,
        "finished_at": None,
        "expires_at": None,
        "cancel_requested_at": None,
        "unique_key": "",
        "strikes": 0,
    }
