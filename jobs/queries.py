"""Questions about requests: where one stands, whom it waits for, who may know of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db.models import Q

from jobs import registry
from jobs.errors import NotFound
from jobs.eta import eta
from jobs.lookup import one
from jobs.models import Job, JobQuerySet
from jobs.models_events import JobEvent
from jobs.states import Status

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser, AnonymousUser


def visible_requests(user: AbstractBaseUser | AnonymousUser) -> JobQuerySet:
    """The requests this user may see: their own, and those of scopes they may see."""
    seen = Q(scope=None, owner_id=user.pk)
    for kind, rules in registry.scope_kinds().items():
        seen |= Q(scope__key__startswith=f"{kind}:", scope__key__in=rules.visible(user))
    return Job.objects.roots().filter(seen)


def get_request(user: AbstractBaseUser | AnonymousUser, request_id: UUID) -> Job:
    """The request, with lane, scope and owner at hand; ``NotFound`` also for one this user may not see."""
    found = visible_requests(user).filter(public_id=request_id)
    job = one(found.select_related("lane", "scope", "owner"))
    if job is None:
        raise NotFound("there is no such request")
    return job


def position(job: Job) -> int | None:
    """How many unfinished jobs are ahead in the lane: 0 is next, ``None`` once begun or ended."""
    if job.started_at is not None or job.ended:
        return None
    if job.lane_id is None or job.place is None or job.status == Status.QUEUED:
        return 0  # Only the first of a lane is queued.
    return Job.objects.open().filter(lane=job.lane_id, place__lt=job.place).count()


def blocked_by(job: Job) -> dict[str, Any] | None:
    """The head of the lane that a job waits behind: who asked for it, what it waits for and since when."""
    head = head_before(job) if position(job) else None
    return told_of_head(head) if head else None


def head_before(job: Job) -> Job | None:
    """The first of the lane that a job waits behind."""
    before = Job.objects.open().filter(lane=job.lane_id, place__lt=job.place).order_by("place")
    return before.select_related("owner", "scope").first()


def told_of_head(first: Job) -> dict[str, Any]:
    """Who asked for it, what it waits for and since when."""
    since = JobEvent.objects.filter(job=first).order_by("-id").values_list("at", flat=True).first()
    return {
        "request_id": str(first.public_id),
        "player": first.owner.get_username() if first.owner else None,
        "status": first.request_status.value,
        "since": since,
        "dm_online": first.scope is not None and _decider_online(first.scope.key),
    }


def _decider_online(key: str) -> bool:
    return registry.scope_rules(key).decider_online(key)


def describe(job: Job) -> dict[str, Any]:
    """A request as the API tells of it."""
    ahead = position(job)
    head = head_before(job) if ahead else None
    return {
        "request_id": str(job.public_id),
        "kind": job.type,
        "game_id": _game_id(job),
        "status": job.request_status.value,
        "position": ahead,
        "blocked_by": told_of_head(head) if head else None,
        "eta": eta(job, ahead, head),
        "result": job.result,
        "error": job.error if job.ended else None,
        "enqueued_at": job.created_at,
        "started_at": job.started_at,
        "completed_at": job.finished_at,
    }


def _game_id(job: Job) -> str | None:
    kind, _, game_id = (job.scope.key if job.scope else "").partition(":")
    return game_id if kind == "game" else None
