"""The one way into the queue."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any, NamedTuple, Unpack

from django.conf import settings
from django.db import IntegrityError
from django.db.models import Q
from django.db.models.functions import Now
from pydantic import BaseModel

from jobs import refusals
from jobs.errors import Conflict, Invalid
from jobs.events.ledger import Ledger, ledger
from jobs.lookup import one
from jobs.models import IdempotencyKey, Job
from jobs.operations import admission, dispatch
from jobs.operations.asking import OptionFields, Options, Owner, new_job, new_jobs, options_of, validated
from jobs.operations.births import insert
from jobs.registry import JobType
from jobs.states import Status


def enqueue(
    job_type: JobType,
    payload: BaseModel | dict[str, Any],
    *,
    idempotency_key: str = "",
    unique: str = "",
    replace: bool = False,
    **options: Unpack[OptionFields],
) -> Job:
    """Durably record a job; it runs once the surrounding transaction has committed.

    - ``scope``: the stream its events are numbered in (``"game:<id>"``); ``owner``: who asked.
    - ``ordering_key``: the lane in which jobs run strictly one after another, in the order of their enqueuing.
    - ``idempotency_key``: the same owner (it needs one), job type and scope give the same job for
      ``idempotency_seconds``; another payload or option under the key is a ``Conflict`` with code
      ``idempotency_mismatch``.
    - ``unique``: while a job of this type with this value is open, it is returned instead of a new one, whoever asked
      for it; with an ``idempotency_key`` it is that key's job from then on.
    - ``replace``: unless it has begun, it takes over the new payload, and the new time if it is delayed. So what is
      asked for again and again runs once, when there was no more asking for as long as its delay.
    - ``queue``: instead of the type's. ``concurrency_key``: a path (``"openai/gpt-5"``), on each part of which there
      may be a limit to how many jobs are under way; else what the type says. ``fair_key``: whose turn it is when many
      wait; else the scope, else the owner.
    - ``priority``: lower runs first. ``delay`` or ``scheduled_at``: not before then. ``expires_in``: how long it may
      wait for its first start, from now or, if it is delayed, from then. ``timeout``: how long one claim may run.
    - ``max_attempts``, ``backoff`` (seconds before each further attempt, the last repeats): instead of the type's.
    - ``depends_on``: runs once these have ended; ``if_dead`` says what if one ends without a result.
    - ``keep_for``: how long it is kept once it has ended, instead of the setting; 0 is no longer than it must.
    - ``tags``: words to find it by, besides the type's.

    Joins the caller's ledger (which must name the lane) or opens one. Raises ``Invalid`` for a payload that the job
    type refuses, with the path and reason of each mistake, and for options, with the name and reason of each that is
    wrong (see ``check``); ``Refused`` when the owner, the scope or the queue has too much waiting or asks too fast.
    """
    chosen = options_of(job_type, options, idempotency_key=idempotency_key, unique=unique, replace=replace)
    new = new_job(job_type, validated(job_type, payload), chosen)
    alone = chosen.alone and not admission.in_force(new)
    with refusals.counted(new.queue, 1), _ledger(chosen, alone=alone) as book:
        if chosen.idempotency_key and chosen.owner is not None:
            return _once(book, new, chosen, chosen.owner)
        return _recorded(book, new, chosen)


def enqueue_many(
    job_type: JobType, payloads: Sequence[BaseModel | dict[str, Any]], **options: Unpack[OptionFields]
) -> list[Job]:
    """Record many jobs of one type with the same options in a few statements, in their order.

    At most ``bulk_jobs``; one wrong payload refuses all, and ``Invalid`` names its index.
    """
    if len(payloads) > settings.CONFIG.bulk_jobs:
        raise Invalid(f"at most {settings.CONFIG.bulk_jobs} jobs at once", code="too_many")
    chosen = options_of(job_type, options)
    jobs = new_jobs(job_type, payloads, chosen)
    with refusals.counted(chosen.queue or job_type.queue, len(jobs)), _ledger(chosen) as book:
        insert(book, jobs, chosen)
    return jobs


def _ledger(options: Options, *, alone: bool = False) -> AbstractContextManager[Ledger]:
    """With the job's own lane, and those of what it depends on: jobs are locked in the order of their ids here, by who
    ends one of a lane in the lane's order, and neither may hold what the other waits for."""
    own = [options.ordering_key] if options.ordering_key else []
    return ledger(own, also=[on.lane_id for on in options.depends_on if on.lane_id is not None], alone=alone)


def _recorded(book: Ledger, job: Job, options: Options) -> Job:
    """This job; for a unique one the open one, if there is one."""
    if options.unique:
        return _single(book, job, options)
    insert(book, [job], options)
    return job


def _once(book: Ledger, job: Job, options: Options, owner: Owner) -> Job:
    """The job that was given for this key before, or this one."""
    use = _Use(owner.pk, f"{job.type}@{options.scope}", options.idempotency_key, _digest(job, options))
    if existing := _earlier(use):
        return existing
    try:
        with ledger():
            given = _recorded(book, job, options)
            IdempotencyKey.objects.create(**use._asdict(), job=given)
            return given
    except IntegrityError:
        # Another transaction used the key between our look and our insert; it has committed by now.
        existing = _earlier(use)
        if existing is None:
            raise
        return existing


class _Use(NamedTuple):
    """Of an idempotency key: whose, for what, and the digest of all that was asked with it."""

    owner_id: Any
    operation: str
    key: str
    digest: str


def _digest(job: Job, options: Options) -> str:
    """Of the payload and what the caller said: the owner and the scope are what the key is looked up by."""
    said = {name: value for name, value in options.said().items() if name not in ("owner", "scope")}
    return hashlib.sha256(json.dumps([job.payload, said], sort_keys=True, default=str).encode()).hexdigest()


def _single(book: Ledger, job: Job, options: Options) -> Job:
    """The open job of this type and unique key, or this one."""
    same = Job.objects.open().filter(type=job.type, unique_key=job.unique_key).select_related("scope")
    if options.replace and (waiting := one(same.filter(started_at=None).select_for_update(of=("self",)))):
        return _take_over(waiting, job)
    if existing := one(same):
        return existing
    try:
        return _made(book, job, options)
    except IntegrityError:
        # Another transaction made it between our look and our insert, and has committed; it may even have ended by now.
        return one(same) or _made(book, job, options)


def _made(book: Ledger, job: Job, options: Options) -> Job:
    with ledger():
        insert(book, [job], options)
    return job


def _take_over(waiting: Job, new: Job) -> Job:
    """The locked job that has not begun, with what the new one says."""
    waiting.payload = new.payload
    if waiting.status == Status.SCHEDULED and new.scheduled_at is not None:
        waiting.scheduled_at, waiting.expires_at = new.scheduled_at, new.expires_at
    waiting.save(update_fields=["payload", "scheduled_at", "expires_at"])
    dispatch.push_again([waiting])
    return waiting


def _earlier(use: _Use) -> Job | None:
    fresh = Q(at__gte=Now() - timedelta(seconds=settings.CONFIG.idempotency_seconds))
    uses = IdempotencyKey.objects.filter(owner_id=use.owner_id, operation=use.operation, key=use.key)
    used = one(uses.annotate(fresh=fresh))
    if used is None:
        return None
    if not used.fresh:
        used.delete()
        return None
    if used.digest != use.digest:
        raise Conflict("this idempotency key was used for another request", code="idempotency_mismatch")
    # By itself: joined to the keys, jobs may all be read where PostgreSQL takes their table for almost empty.
    return one(Job.objects.filter(pk=used.job_id).select_related("scope"))
