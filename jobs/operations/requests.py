"""What people do to requests that are their own, or theirs to decide on or to operate."""

from __future__ import annotations

from uuid import UUID

from django.contrib.auth.models import AnonymousUser, User
from django.db import transaction

from accounts import audit
from accounts.permissions import may
from jobs import queries, refusals
from jobs.errors import Forbidden, NotFound
from jobs.lookup import one
from jobs.models import Job
from jobs.operations import controls
from jobs.owners import may_steer
from jobs.states import RequestStatus

audit.register_action("request.cancelled")
audit.register_action("request.retried")

AGAIN = (RequestStatus.FAILED, RequestStatus.CANCELLED)


def find(user: User | AnonymousUser, request_id: UUID) -> Job:
    """The request, for who sees its scope, for its owner, and for staff who may look into jobs; else ``NotFound``."""
    try:
        return queries.get_request(user, request_id)
    except NotFound:
        if not may(user, "view", Job()):
            raise
    roots = Job.objects.roots().select_related("lane", "scope", "owner")
    job = one(roots.filter(public_id=request_id))
    if job is None:
        raise NotFound("there is no such request")
    return job


def may_cancel(user: User | AnonymousUser, job: Job) -> bool:
    """Whether there is something to call off, and it is this user's to do."""
    return not job.ended and (may_steer(user, job) or may(user, "cancel", job))


def may_retry(user: User | AnonymousUser, job: Job) -> bool:
    """Whether it ended without a result, and another run is this user's to ask for."""
    return job.request_status in AGAIN and (may_steer(user, job) or may(user, "revive", job))


def cancel(*, user: User, request_id: UUID) -> Job:
    """Call it off, with all beneath it; see ``controls.cancel``. ``NotFound``, ``Forbidden``, ``Conflict``."""
    job = find(user, request_id)
    _require(may_steer(user, job) or may(user, "cancel", job))
    with transaction.atomic():
        called_off = controls.cancel(job.pk)
        audit.record("request.cancelled", actor=user, on=job)
    return called_off


def retry(*, user: User, request_id: UUID) -> Job:
    """Run it again from its first step; see ``controls.revive``. ``NotFound``, ``Forbidden``, ``Conflict``.

    Within the limits of its queue (``Refused``), unless the user operates the queue.
    """
    job = find(user, request_id)
    operates = may(user, "revive", job)
    _require(operates or may_steer(user, job))
    with refusals.counted(job.queue, 1), transaction.atomic():
        revived = controls.revive(job.pk, limited=not operates)
        audit.record("request.retried", actor=user, on=job, run=revived.run)
    return revived


def _require(allowed: bool) -> None:
    if not allowed:
        raise Forbidden("this is for the owner, and for those who decide here")
