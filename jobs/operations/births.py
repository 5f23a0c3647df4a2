"""New jobs are recorded: in their scope and lane, lined up in their queue, behind what they depend on."""

from __future__ import annotations

from collections.abc import Sequence

from django.conf import settings

from jobs.errors import Invalid
from jobs.events.ledger import Ledger
from jobs.failpoints import failpoint
from jobs.models import Job, JobTag, Scope
from jobs.models_dependencies import Dependency, IfDead
from jobs.operations import admission, dispatch, hot, transitions
from jobs.operations.asking import Options
from jobs.operations.circles import waits_for_who_joins
from jobs.states import Status


def insert(book: Ledger, jobs: Sequence[Job], options: Options) -> None:
    """Record requests that differ in their payload only, in the caller's ledger, which has locked their lane."""
    if not jobs:
        return
    first = jobs[0]
    _place(book, first, options)
    for job in jobs[1:]:
        job.scope, job.lane = first.scope, first.lane
    unfinished = _unfinished(first, options)
    admission.admit(jobs, scope=options.scope)
    in_lane = first.lane_id is not None and first.scheduled_at is None
    ahead = transitions.take_places(book, jobs) if in_lane else 0
    positions = range(ahead, ahead + len(jobs)) if in_lane else [0] * len(jobs)
    for job, position in zip(jobs, positions, strict=True):
        behind = position or unfinished
        job.status = Status.SCHEDULED if job.scheduled_at else Status.PENDING if behind else Status.QUEUED
    born(book, jobs)
    tag(jobs, options.tags)
    if unfinished:
        Dependency.objects.bulk_create(
            Dependency(job=job, on=on, if_dead=options.if_dead) for job in jobs for on in unfinished
        )
    for job, position in zip(jobs, positions, strict=True):
        book.tell(job, "request.queued", {"kind": job.type, "position": position})
    failpoint("in_enqueue")


def _place(book: Ledger, job: Job, options: Options) -> None:
    if options.scope:
        job.scope = hot.scope(options.scope) or Scope.objects.get_or_create(key=options.scope)[0]
    if options.ordering_key:
        job.lane = book.lane(options.ordering_key)


def _unfinished(job: Job, options: Options) -> list[Job]:
    """What the job has to wait for, locked and marked, so that none of it ends without looking for the job."""
    if not options.depends_on:
        return []
    wanted = {on.pk for on in options.depends_on}
    found = transitions.lock(wanted)
    if job.lane_id is not None and waits_for_who_joins(job.lane_id, found):
        raise Invalid(
            "a job can't depend on one that will come after it in its lane, or that waits for such a one",
            fields={"depends_on": ", ".join(map(str, found.values()))},
        )
    lost = [on for on in found.values() if on.ended and on.status != Status.COMPLETED]
    if len(found) < len(wanted) or (lost and options.if_dead == IfDead.CANCEL):
        gone = ", ".join(map(str, lost)) or "removed meanwhile"
        raise Invalid("a job can't depend on one that ended without a result", fields={"depends_on": gone})
    unfinished = [on for on in found.values() if not on.ended]
    Job.objects.filter(pk__in=[on.pk for on in unfinished]).update(depended_on=True)
    return unfinished


def born(book: Ledger, jobs: Sequence[Job]) -> None:
    """Record jobs of one type, queue and flow in their statuses, in their order, with tickets for those that may.

    The ticket of one that comes before all that have tickets goes to the front.
    """
    first = jobs[0]
    room = 0 if dispatch.full(first.queue) else settings.CONFIG.ticket_window
    leads = hot.insert(jobs, room=room)
    book.pushes += [dispatch.push(job, front=leads and job is first) for job in jobs if job.ticketed]
    dispatch.refill_later(book, (job.queue for job in jobs if job.status == Status.QUEUED and not job.ticketed))


def tag(jobs: Sequence[Job], tags: Sequence[str]) -> None:
    """Put these tags on recorded jobs."""
    if tags:
        JobTag.objects.bulk_create((JobTag(job=job, tag=tag) for job in jobs for tag in tags), batch_size=1000)
