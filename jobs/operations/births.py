"""New jobs are recorded: in their scope and lane, lined up in their queue, behind what they depend on."""

from __future__ import annotations

from collections.abc import Sequence

from django.conf import settings

from jobs import sql
from jobs.errors import Invalid
from jobs.events.ledger import Ledger
from jobs.failpoints import failpoint
from jobs.models import Dependency, IfDead, Job, JobTag, Scope
from jobs.operations import admission, dispatch, hot, transitions
from jobs.operations.asking import Options
from jobs.operations.fairness import standing
from jobs.states import Status


def insert(book: Ledger, job: Job, options: Options) -> Job:
    """Record a request, in the caller's ledger, which has locked its lane."""
    _place(book, job, options)
    unfinished = _unfinished(job, options)
    admission.admit([job], scope=options.scope)
    ahead = transitions.take_place(book, job) if job.lane_id is not None and job.scheduled_at is None else 0
    status = Status.SCHEDULED if job.scheduled_at else Status.PENDING if ahead or unfinished else Status.QUEUED
    born(book, job, status)
    tag([job], options.tags)
    if unfinished:
        Dependency.objects.bulk_create(Dependency(job=job, on=on, if_dead=options.if_dead) for on in unfinished)
    book.tell(job, "request.queued", {"kind": job.type, "position": ahead})
    failpoint("in_enqueue")
    return job


def insert_all(book: Ledger, jobs: list[Job], options: Options) -> None:
    """``insert`` for requests that differ in their payload only, in a few statements."""
    if not jobs:
        return
    first = jobs[0]
    _place(book, first, options)
    for job in jobs:
        job.scope, job.lane = first.scope, first.lane
    unfinished = _unfinished(first, options)
    ahead = 0
    if first.lane_id is not None and first.scheduled_at is None:
        ahead = transitions.take_places(book, jobs)
    admission.admit(jobs, scope=options.scope)
    for index, job in enumerate(jobs):
        behind = bool(unfinished) or (first.lane_id is not None and ahead + index > 0)
        job.status = Status.SCHEDULED if job.scheduled_at else Status.PENDING if behind else Status.QUEUED
    leading = line_up(jobs)
    hot.insert(jobs)
    tag(jobs, options.tags)
    if unfinished:
        Dependency.objects.bulk_create(
            Dependency(job=job, on=on, if_dead=options.if_dead) for job in jobs for on in unfinished
        )
    for index, job in enumerate(jobs):
        book.tell(job, "request.queued", {"kind": job.type, "position": ahead + index if job.lane_id else 0})
    book.pushes += [dispatch.push(job, front=job is leading) for job in jobs if job.ticketed]


def _place(book: Ledger, job: Job, options: Options) -> None:
    if options.scope:
        job.scope = _scope(options.scope)
    if options.ordering_key:
        job.lane = book.lane(options.ordering_key)


_SCOPE = ("id", "key", "head")


def _scope(key: str) -> Scope:
    found = sql.ask(f"SELECT {', '.join(_SCOPE)} FROM jobs_scope WHERE key = %(key)s", key=key)
    scopes: list[Scope] = sql.instances(Scope, _SCOPE, found)
    return scopes[0] if scopes else Scope.objects.get_or_create(key=key)[0]


def _unfinished(job: Job, options: Options) -> list[Job]:
    """What the job has to wait for, locked, so that none of it ends unnoticed before the job is there."""
    if not options.depends_on:
        return []
    found = transitions.lock([on.pk for on in options.depends_on])
    for on in found.values():
        if job.lane_id is not None and on.lane_id == job.lane_id and on.place is None:
            raise Invalid(
                "a job can't depend on one that will come after it in its lane", fields={"depends_on": str(on)}
            )
    lost = [on for on in found.values() if on.ended and on.status != Status.COMPLETED]
    if len(found) < len(options.depends_on) or (lost and options.if_dead == IfDead.CANCEL):
        raise Invalid("a job can't depend on one that ended without a result", fields={"depends_on": str(lost[:1])})
    return [on for on in found.values() if not on.ended]


def born(book: Ledger, job: Job, status: Status) -> Job:
    """Record one job in this status, with its ticket if it may have one."""
    job.status = status
    leading = line_up([job])
    hot.insert([job])
    if job.ticketed:
        book.pushes.append(dispatch.push(job, front=leading is job))
    return job


def line_up(jobs: Sequence[Job]) -> Job | None:
    """Rank these jobs of one queue and one flow, and mark as many of the queued as may have a ticket now.

    The one that comes before all that have tickets, if one does: its own goes to the front.
    """
    first = jobs[0]
    stands = standing(first.queue, first.fair_key)
    leads = stands.leads(first.priority)
    room = 0 if stands.behind or dispatch.full(first.queue) else settings.CONFIG.ticket_window
    for index, job in enumerate(jobs):
        job.rank = stands.rank + index
        job.ticketed = job.status == Status.QUEUED and index < max(room, leads)
    return first if leads else None


def tag(jobs: Sequence[Job], tags: Sequence[str]) -> None:
    """Put these tags on recorded jobs."""
    if tags:
        JobTag.objects.bulk_create((JobTag(job=job, tag=tag) for job in jobs for tag in tags), batch_size=1000)
