"""What operators do to single jobs: authorised by the caller, recorded here together with the change itself."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Unpack

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from accounts import audit
from jobs import registry
from jobs.errors import Conflict, Invalid, NotFound
from jobs.models import Job
from jobs.operations import controls, dispatch, hot, upkeep
from jobs.operations.asking import PRIORITIES, OptionFields, moment_mistake
from jobs.operations.enqueue import enqueue, enqueue_many
from jobs.operations.operator import Operator
from jobs.registry import JobType
from jobs.states import Status

for _verb in ("added", "cancelled", "revived", "rerun", "promoted", "rescheduled", "reprioritised", "removed"):
    audit.register_action(f"job.{_verb}")


def add(
    type_name: str,
    payload: dict[str, Any],
    *,
    by: Operator,
    idempotency_key: str = "",
    unique: str = "",
    replace: bool = False,
    **options: Unpack[OptionFields],
) -> Job:
    """A new job of this type; see ``enqueue``. ``Invalid`` for a type that nobody declared, or that is internal."""
    job_type = asked_for(type_name)
    with transaction.atomic():
        job = enqueue(job_type, payload, idempotency_key=idempotency_key, unique=unique, replace=replace, **options)
        by.record("job.added", job, type=job.type)
    return job


def add_many(
    type_name: str, payloads: list[dict[str, Any]], *, by: Operator, **options: Unpack[OptionFields]
) -> list[Job]:
    """New jobs of one type, all or none; see ``enqueue_many``."""
    job_type = asked_for(type_name)
    with transaction.atomic():
        jobs = enqueue_many(job_type, payloads, **options)
        if jobs:
            by.record("job.added", jobs[0], type=job_type.name, count=len(jobs), last=str(jobs[-1].public_id))
    return jobs


def asked_for(type_name: str) -> JobType:
    """The job type of this name, if operators may ask for it; ``Invalid``."""
    job_type = declared(type_name)
    if job_type.internal:
        raise Invalid(f"only the code asks for {type_name}", fields={"type": _one_of_askable()})
    return job_type


def declared(type_name: str) -> JobType:
    """The job type of this name; ``Invalid``."""
    try:
        return registry.job_type(type_name)
    except KeyError:
        raise Invalid(f"there is no job type {type_name!r}", fields={"type": _one_of_askable()}) from None


def _one_of_askable() -> str:
    return f"one of {', '.join(sorted(registry.askable()))}"


def cancel(job_id: int, *, by: Operator) -> Job:
    """Call off a request; see ``controls.cancel``. A child is not called off without its request: ``Conflict``."""
    _request(job_id)
    with transaction.atomic():
        job = controls.cancel(job_id)
        by.record("job.cancelled", job, type=job.type)
    return job


def revive(job_id: int, *, by: Operator, payload: dict[str, Any] | None = None) -> Job:
    """Run a failed request again, with another payload if one is given; see ``controls.revive``."""
    before = _request(job_id)
    with transaction.atomic():
        job = controls.revive(job_id, payload=payload)
        edited = {"before": before.payload, "after": job.payload} if job.payload != before.payload else {}
        by.record("job.revived", job, type=job.type, run=job.run, **edited)
    return job


def run_again(job_id: int, *, by: Operator, payload: dict[str, Any] | None = None) -> Job:
    """A new request like one that has ended: its type, payload, owner, scope, lane and options.

    It is not delayed, and waits for no other; it may wait for its first start as long as the old one could.
    """
    old = _request(job_id)
    if not old.ended:
        raise Conflict("it has not ended; call it off first", code="not_ended")
    with transaction.atomic():
        job = enqueue(
            declared(old.type),
            old.payload if payload is None else payload,
            queue=old.queue if old.queue in settings.RQ_QUEUES else "",  # one that is no more can't be asked for
            concurrency_key=old.concurrency_key,
            fair_key=old.fair_key,
            owner=old.owner,
            scope=old.scope.key if old.scope else "",
            ordering_key=old.lane.key if old.lane else "",
            priority=old.priority,
            expires_in=_could_wait(old),
            max_attempts=old.max_attempts,
            backoff=old.backoff,
            timeout=_delta(old.timeout_seconds),
            keep_for=_delta(old.keep_seconds),
            tags=list(old.tags.values_list("tag", flat=True)),
        )
        by.record("job.rerun", old, type=old.type, new=str(job.public_id))
    return job


def promote(job_id: int, *, by: Operator) -> Job:
    """Let a delayed job run now: the scheduler sees to it within ``tick_seconds``. ``Conflict`` if it isn't delayed.

    If it has not begun, it may wait for that as long from now as it could have from its time. A job that another one
    called may be promoted, too: its backoff is cut short, and nothing else changes.
    """
    with transaction.atomic():
        job = _delayed(job_id)
        Job.objects.filter(pk=job_id).update(scheduled_at=Now(), expires_at=_expiry(job, timezone.now()))
        by.record("job.promoted", job)
    return get(job_id)


def reschedule(job_id: int, at: datetime, *, by: Operator) -> Job:
    """Let a delayed job, also a called one, run at another time; as ``promote`` if that has passed, or ``Conflict``.

    If it has not begun, it may wait for that as long after its new time as after the old one.
    """
    if why := moment_mistake(at):
        raise Invalid("the time is wrong", fields={"scheduled_at": why})
    with transaction.atomic():
        job = _delayed(job_id)
        expires_at = _expiry(job, max(at, timezone.now()))
        Job.objects.filter(pk=job_id).update(scheduled_at=at, expires_at=expires_at)
        before = job.scheduled_at.isoformat() if job.scheduled_at else None
        by.record("job.rescheduled", job, before=before, after=at.isoformat())
    return get(job_id)


def _delayed(job_id: int) -> Job:
    """The delayed job, locked; ``Conflict``."""
    job = Job.objects.filter(pk=job_id, status=Status.SCHEDULED).select_for_update().first()
    if job is None:
        raise Conflict(f"the job is not delayed, it is {get(job_id).status}", code="not_scheduled")
    return job


def _expiry(job: Job, at: datetime) -> datetime | None:
    """When a delayed job expires that is to run at another time."""
    if job.expires_at is None or job.scheduled_at is None or job.started_at is not None:
        return job.expires_at
    return at + (job.expires_at - job.scheduled_at)


def _could_wait(job: Job) -> timedelta | None:
    """How long a job could wait for its first start, which a delay is no part of."""
    if job.expires_at is None:
        return None
    since = job.scheduled_at
    if since is None or (job.started_at is not None and since > job.started_at):  # not a delay, but a backoff
        runnable = job.events.filter(event__in=("job.queued", "job.pending"), at__lt=job.expires_at)
        since = runnable.order_by("id").values_list("at", flat=True).first() or job.created_at
    return job.expires_at - since


def reprioritise(job_id: int, priority: int, *, by: Operator) -> Job:
    """Another priority for a request and what it still has to run; lower runs first."""
    if priority not in PRIORITIES:
        raise Invalid("the priority is out of range", fields={"priority": f"{PRIORITIES[0]} to {PRIORITIES[-1]}"})
    before = _request(job_id)
    with transaction.atomic():
        open_ = Job.objects.open().filter(Q(pk=job_id) | Q(root=job_id))
        family = list(open_.select_for_update().order_by("pk"))
        if not family:
            raise Conflict(f"the request has ended: {before.request_status.value}", code="ended")
        moved = [job for job in family if job.priority != priority]
        for job in moved:
            job.priority = priority
        hot.line_up(job for job in moved if job.started_at is None)
        hot.fall_in([job for job in moved if job.started_at is not None])
        open_.update(priority=priority)
        by.record("job.reprioritised", before, before=before.priority, after=priority)
    for queue in {job.queue for job in family if job.status == Status.QUEUED}:
        dispatch.rebuild(queue)
    return get(job_id)


def remove(job_id: int, *, by: Operator) -> None:
    """Delete an ended request with all beneath it; what others keep of it (decisions, turns, audit) stays.

    ``Conflict`` with code ``not_ended``, or ``needed`` while its idempotency key is good or a job that has not begun
    depends on it.
    """
    job = _request(job_id)
    with transaction.atomic():
        if not upkeep.delete([job_id]):
            raise _kept(job)
        by.record("job.removed", job, type=job.type, status=job.status)


def _kept(job: Job) -> Conflict:
    if job.ended and upkeep.needed([job.pk]):
        return Conflict(
            "it is still needed: its idempotency key is good, or a job that has not begun depends on it", code="needed"
        )
    return Conflict("only what has ended can be removed; call it off first", code="not_ended")


def get(job_id: int) -> Job:
    """The job; ``NotFound``."""
    job = Job.objects.select_related("owner", "scope", "lane", "root").filter(pk=job_id).first()
    if job is None:
        raise NotFound("there is no such job")
    return job


def _delta(seconds: float | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)


def _request(job_id: int) -> Job:
    job = get(job_id)
    if job.root is not None:
        raise Conflict(
            f"this job works for request {job.root.public_id}: act on that one",
            code="not_a_request",
            request_id=str(job.root.public_id),
        )
    return job
