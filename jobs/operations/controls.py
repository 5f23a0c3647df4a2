"""What people do to jobs: call them off, and have dead ones run again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.db import IntegrityError
from django.db.models import Q
from django.db.models.functions import Coalesce, Now

from jobs import registry
from jobs.errors import Conflict, NotFound
from jobs.events.ledger import Ledger, ledger
from jobs.models import Job
from jobs.models_dependencies import Dependency, IfDead
from jobs.operations.admission import admit
from jobs.operations.asking import validated
from jobs.operations.transitions import Move, apply, cancelled, lock, take_places
from jobs.states import OPEN, Status


def cancel(job_id: int) -> Job:
    """Call off a job and everything beneath it; its row as it then stands.

    What does not run ends at once, children before their parents. What runs is told to stop; a commit that gets there
    first wins. A parent that waits for the job gets ``ChildFailed``. Asking twice changes nothing; a job that has ended
    is a ``Conflict`` with code ``ended``.
    """
    family = _family(job_id)
    beneath = _beneath(job_id, family)
    with ledger(lanes={lane for pk, _, lane in family if pk in beneath and lane is not None}) as book:
        jobs = lock({job_id, *beneath, *_parent_of(job_id)})
        # A job that ran may have called another before its row was locked.
        late = _beneath(job_id, _family(job_id)) - jobs.keys()
        jobs |= lock(late) if late else {}
        job = jobs.get(job_id)
        if job is None:
            raise NotFound("there is no such job")
        if job.ended:
            raise Conflict(f"the request has ended: {job.request_status.value}", code="ended")
        if job.cancel_requested_at is None:
            mine = {pk: row for pk, row in jobs.items() if pk in beneath | late}
            _ask_to_stop(mine)
            _end_what_does_not_run(book, mine, jobs)
    return job


def end_waiting(parents: Iterable[Job]) -> None:
    """End those of these parents that were called off and waited for the last of their children to stop."""
    for parent in parents:
        called_off = parent.cancel_requested_at is not None
        if called_off and parent.status == Status.WAITING and not parent.children.open().exists():
            end_called_off(parent.root_id_or_self)


def end_called_off(root_id: int) -> None:
    """End what was called off in a request's family and waited for the last of its children to stop."""
    family = _family(root_id)
    with ledger(lanes={lane for *_, lane in family if lane is not None}) as book:
        jobs = lock([pk for pk, *_ in family])
        called_off = {pk: job for pk, job in jobs.items() if job.cancel_requested_at is not None}
        _end_what_does_not_run(book, called_off, jobs)


Kin = tuple[int, int | None, int | None]
"""A job's id, its parent's and its lane's."""


def _family(job_id: int) -> list[Kin]:
    """All that is open of the request that a job works for; none if there is no such job."""
    root_id = Job.objects.filter(pk=job_id).values_list(Coalesce("root", "pk"), flat=True).first()
    if root_id is None:
        return []
    family = Job.objects.open().filter(Q(pk=root_id) | Q(root=root_id)).order_by("pk")
    return list(family.values_list("pk", "parent", "lane"))


def _beneath(job_id: int, family: Sequence[Kin]) -> set[int]:
    """The job and what it called, at any depth. The family comes by age, and children are younger."""
    found: set[int] = set()
    for pk, parent, _ in family:
        if pk == job_id or parent in found:
            found.add(pk)
    return found


def _parent_of(job_id: int) -> set[int]:
    return {parent for parent in Job.objects.filter(pk=job_id).values_list("parent", flat=True) if parent is not None}


def _ask_to_stop(jobs: dict[int, Job]) -> None:
    open_ = [job for job in jobs.values() if not job.ended]
    Job.objects.filter(pk__in=[job.pk for job in open_]).update(cancel_requested_at=Now())
    for job in open_:
        job.refresh_from_db(fields=["cancel_requested_at"])


def _end_what_does_not_run(book: Ledger, jobs: dict[int, Job], parents: dict[int, Job]) -> None:
    """Youngest first: a child is always younger than its parent, which has to wait for it."""
    for job in sorted(jobs.values(), key=lambda job: -job.pk):
        still_busy = job.status == Status.WAITING and job.children.open().exists()
        if not job.ended and job.status != Status.RUNNING and not still_busy:
            apply(book, [cancelled(job)], parents=parents)


def revive(job_id: int, *, payload: dict[str, Any] | None = None, limited: bool = False) -> Job:
    """Run a dead, expired or cancelled request again, as its next run, at its lane's tail.

    A run begins from the first step, with fresh attempts, and with ``payload`` instead of the old one if it is given
    (``Invalid`` if the job type refuses it). Anything else is a ``Conflict`` with code ``not_dead``; code
    ``not_unique`` if another one with its unique key is open, ``waited_for`` while those are called off that depend on
    it. Who was to run without its result does not wait for it again. ``limited``: it is let into its queue like a new
    request of its owner, or ``Refused``.
    """
    try:
        return _revived(job_id, payload, limited)
    except IntegrityError:
        raise Conflict("another job of this type and unique key is open", code="not_unique") from None


def _revived(job_id: int, payload: dict[str, Any] | None, limited: bool) -> Job:
    lane = Job.objects.filter(pk=job_id).values_list("lane", flat=True).first()
    with ledger(lanes=[lane] if lane is not None else ()) as book:
        job = lock([job_id]).get(job_id)
        if job is None:
            raise NotFound("there is no such job")
        if job.parent_id is not None or job.status not in (Status.DEAD, Status.EXPIRED, Status.CANCELLED):
            raise Conflict(f"only a request that failed can run again, and this is {job.status}", code="not_dead")
        _let_go(job)
        if limited:
            admit([job], scope=job.scope.key if job.scope else "")
        changes = _afresh(job) | ({"payload": _accepted(job, payload)} if payload is not None else {})
        ahead = take_places(book, [job]) if lane is not None else 0
        to = Status.PENDING if ahead else Status.QUEUED
        apply(book, [Move(job, to, "job.revived", {"run": job.run + 1}, changes | {"place": job.place})])
        book.tell(job, "request.queued", {"kind": job.type, "position": ahead})
    return job


def _let_go(job: Job) -> None:
    """Nobody waits for its next run, and so nobody who comes before it in its lane."""
    waiting = Dependency.objects.filter(on=job, job__status__in=OPEN)
    if waiting.filter(if_dead=IfDead.CANCEL).exists():
        raise Conflict("those that depend on it are being called off: try again in a moment", code="waited_for")
    waiting.delete()


def _accepted(job: Job, payload: dict[str, Any]) -> dict[str, Any]:
    try:
        job_type = registry.job_type(job.type)
    except KeyError:
        raise Conflict(f"no code here knows jobs of type {job.type!r}", code="unknown_job_type") from None
    return validated(job_type, payload)


def _afresh(job: Job) -> dict[str, Any]:
    newest = registry.job_types().get(job.type)
    return {
        "run": job.run + 1,
        "version": newest.version if newest else job.version,
        "attempt": 1,
        "error": None,
        "fingerprint": "",
        "result": None,
        "started_at": None,
        "finished_at": None,
        "expires_at": None,
        "cancel_requested_at": None,
        "strikes": 0,
    }
