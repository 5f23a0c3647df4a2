"""The one way into the queue."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from typing import Any, Protocol

from django.conf import settings
from django.db import IntegrityError
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone
from pydantic import BaseModel, ValidationError

from jobs.errors import Conflict, Invalid
from jobs.events.ledger import Ledger, ledger
from jobs.failpoints import failpoint
from jobs.models import IdempotencyKey, Job, Scope
from jobs.operations import dispatch, transitions
from jobs.registry import JobType
from jobs.states import BIRTHS, Status


class Owner(Protocol):
    """A user's primary key is all that the queue needs of them."""

    @property
    def pk(self) -> Any: ...


def enqueue(
    job_type: JobType,
    payload: BaseModel | dict[str, Any],
    *,
    owner: Owner | None = None,
    scope: str = "",
    ordering_key: str = "",
    idempotency_key: str = "",
    priority: int = 0,
    delay: timedelta | None = None,
    expires_in: timedelta | None = None,
) -> Job:
    """Durably record a job; it runs once the surrounding transaction has committed.

    ``scope`` is the stream its events are numbered in (``"game:<id>"``), ``ordering_key`` the lane in which jobs run
    strictly one after another in the order of their enqueuing. With an ``idempotency_key`` the same owner, job type
    and scope give the same job for 24 hours (``idempotency_seconds``); another payload under the key is a
    ``Conflict`` with code ``idempotency_mismatch``. ``priority``: lower runs first. ``expires_in``: how long it may
    wait for its first start.

    Joins the caller's ledger (which must name the lane) or opens one. Raises ``Invalid`` for a payload that the job
    type refuses, with the path and reason of each mistake.
    """
    body = validated(job_type, payload)
    new = Job(
        type=job_type.name,
        version=job_type.version,
        queue=job_type.queue,
        priority=priority,
        max_attempts=job_type.max_attempts or settings.CONFIG.max_attempts,
        payload=body,
        owner_id=owner.pk if owner else None,
        scheduled_at=timezone.now() + delay if delay else None,
        expires_at=timezone.now() + expires_in if expires_in else None,
    )
    with ledger(lanes=[ordering_key] if ordering_key else ()) as book:
        if idempotency_key and owner is not None:
            return _once(book, new, scope, ordering_key, owner, idempotency_key)
        return _insert(book, new, scope, ordering_key)


def validated(job_type: JobType, payload: BaseModel | dict[str, Any]) -> dict[str, Any]:
    """The payload as JSON, checked against the job type and the size limit; ``Invalid`` names what is wrong."""
    try:
        model = job_type.payload.model_validate(payload)
    except ValidationError as error:
        fields = {".".join(map(str, mistake["loc"])) or "payload": mistake["msg"] for mistake in error.errors()}
        raise Invalid(f"the payload of {job_type.name} is wrong", fields=fields) from None
    body: dict[str, Any] = model.model_dump(mode="json")
    text = json.dumps(body)
    if len(text) > settings.CONFIG.payload_bytes:
        raise Invalid(f"the payload is larger than {settings.CONFIG.payload_bytes} bytes", code="too_large")
    if "\\u0000" in text:
        raise Invalid("the payload contains a NUL character, which cannot be stored")
    return body


def insert_child(book: Ledger, parent: Job, job_type: JobType, payload: dict[str, Any], *, step: str) -> Job:
    """A child job, in the transaction that makes its locked parent wait; it inherits owner, scope and priority."""
    child = Job(
        type=job_type.name,
        version=job_type.version,
        queue=job_type.queue,
        priority=parent.priority,
        max_attempts=job_type.max_attempts or settings.CONFIG.max_attempts,
        payload=payload,
        owner_id=parent.owner_id,
        scope_id=parent.scope_id,
        parent=parent,
        root_id=parent.root_id_or_self,
        step=step,
    )
    return _born(book, child, Status.QUEUED)


def _insert(book: Ledger, job: Job, scope: str, ordering_key: str) -> Job:
    if scope:
        job.scope = Scope.objects.filter(key=scope).first() or Scope.objects.get_or_create(key=scope)[0]
    ahead = 0
    if ordering_key:
        job.lane = book.lane(ordering_key)
        if job.scheduled_at is None:
            ahead = transitions.take_place(book, job)
    status = Status.SCHEDULED if job.scheduled_at else Status.PENDING if ahead else Status.QUEUED
    _born(book, job, status)
    book.tell(job, "request.queued", {"kind": job.type, "position": ahead})
    failpoint("in_enqueue")
    return job


def _born(book: Ledger, job: Job, status: Status) -> Job:
    job.status = status
    job.ticketed = status == Status.QUEUED and dispatch.may_push(job.queue)
    job.save(force_insert=True)
    book.note(job, BIRTHS[status])
    if job.ticketed:
        book.pushes.append(dispatch.push(job))
    return job


def _once(book: Ledger, job: Job, scope: str, ordering_key: str, owner: Owner, key: str) -> Job:
    """The job of this key: the one it made before, or this one."""
    operation = f"{job.type}@{scope}"
    digest = hashlib.sha256(json.dumps(job.payload, sort_keys=True).encode()).hexdigest()
    if existing := _earlier(owner, operation, key, digest):
        return existing
    try:
        with ledger():
            inserted = _insert(book, job, scope, ordering_key)
            IdempotencyKey.objects.create(owner_id=owner.pk, operation=operation, key=key, digest=digest, job=inserted)
            return inserted
    except IntegrityError:
        # Another transaction used the key between our look and our insert; it has committed by now.
        existing = _earlier(owner, operation, key, digest)
        if existing is None:
            raise
        return existing


def _earlier(owner: Owner, operation: str, key: str, digest: str) -> Job | None:
    used = (
        IdempotencyKey.objects.filter(owner_id=owner.pk, operation=operation, key=key)
        .annotate(fresh=Q(at__gte=Now() - timedelta(seconds=settings.CONFIG.idempotency_seconds)))
        .select_related("job", "job__scope")
        .first()
    )
    if used is None:
        return None
    if not used.fresh:
        used.delete()
        return None
    if used.digest != digest:
        raise Conflict("this idempotency key was used for another request", code="idempotency_mismatch")
    return used.job
