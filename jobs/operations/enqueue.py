"""The one way into the queue."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Protocol, TypedDict, Unpack

from django.conf import settings
from django.db import IntegrityError
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone
from pydantic import BaseModel, ValidationError
from uuid6 import uuid7

from jobs import limits, queue_settings, refusals, sql
from jobs.errors import Conflict, HandlerMisuse, Invalid
from jobs.events.ledger import Ledger, ledger
from jobs.failpoints import failpoint
from jobs.models import Dependency, IdempotencyKey, IfDead, Job, JobTag, Scope
from jobs.operations import admission, dispatch, hot, transitions
from jobs.operations.fairness import standing
from jobs.registry import JobType
from jobs.states import Status
from jobs.tags import checked

KEY_CHARACTERS = 200
CONCURRENCY_KEY = re.compile(r"(?!queue:)[\w.:-]+(/[\w.:-]+)*", re.ASCII)


class Owner(Protocol):
    """A user's primary key is all that the queue needs of them."""

    @property
    def pk(self) -> Any: ...


class OptionFields(TypedDict, total=False):
    """``Options`` as keywords."""

    queue: str
    concurrency_key: str
    fair_key: str
    owner: Owner | None
    scope: str
    ordering_key: str
    priority: int
    delay: timedelta | None
    scheduled_at: datetime | None
    expires_in: timedelta | None
    max_attempts: int | None
    backoff: Sequence[float] | None
    timeout: timedelta | None
    keep_for: timedelta | None
    tags: Sequence[str]
    depends_on: Sequence[Job]
    if_dead: IfDead


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a caller may say about a job beyond its payload; see ``enqueue``."""

    queue: str = ""
    concurrency_key: str = ""
    fair_key: str = ""
    owner: Owner | None = None
    scope: str = ""
    ordering_key: str = ""
    priority: int = 0
    delay: timedelta | None = None
    scheduled_at: datetime | None = None
    expires_in: timedelta | None = None
    max_attempts: int | None = None
    backoff: Sequence[float] | None = None
    timeout: timedelta | None = None
    keep_for: timedelta | None = None
    tags: Sequence[str] = ()
    depends_on: Sequence[Job] = ()
    if_dead: IfDead = IfDead.CANCEL

    @property
    def alone(self) -> bool:
        """Whether the job's own row is all that is written."""
        return not (self.scope or self.ordering_key or self.tags or self.depends_on)


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
    - ``idempotency_key``: the same owner, job type and scope give the same job for ``idempotency_seconds``; another
      payload under the key is a ``Conflict`` with code ``idempotency_mismatch``.
    - ``unique``: while a job of this type with this value is open, it is returned instead of a new one.
    - ``replace``: unless it has begun, it takes over the new payload, and the new time if it is delayed. So what is
      asked for again and again runs once, when there was no more asking for as long as its delay.
    - ``queue``: instead of the type's. ``concurrency_key``: a path (``"openai/gpt-5"``), on each part of which there
      may be a limit to how many jobs are under way; else what the type says. ``fair_key``: whose turn it is when many
      wait; else the scope, else the owner.
    - ``priority``: lower runs first. ``delay`` or ``scheduled_at``: not before then. ``expires_in``: how long it may
      wait for its first start. ``timeout``: how long one claim may run.
    - ``max_attempts``, ``backoff`` (seconds before each further attempt, the last repeats): instead of the type's.
    - ``depends_on``: runs once these have ended; ``if_dead`` says what if one ends without a result.
    - ``keep_for``: how long it is kept once it has ended, instead of the setting.
    - ``tags``: words to find it by, besides the type's.

    Joins the caller's ledger (which must name the lane) or opens one. Raises ``Invalid`` for a payload that the job
    type refuses, with the path and reason of each mistake, and for options that contradict each other; ``Refused`` when
    the owner, the scope or the queue has too much waiting or asks too fast.
    """
    if replace and not unique:
        raise Invalid("only a unique job can be replaced", fields={"replace": "give unique, too"})
    chosen = _chosen(job_type, options)
    new = _new(job_type, validated(job_type, payload), chosen, unique=unique)
    lanes = [chosen.ordering_key] if chosen.ordering_key else ()
    alone = chosen.alone and not (idempotency_key or unique or admission.in_force(new))
    with refusals.counted(new.queue, 1), ledger(lanes=lanes, alone=alone) as book:
        if idempotency_key and chosen.owner is not None:
            return _once(book, new, chosen, chosen.owner, idempotency_key)
        if unique:
            return _single(book, new, chosen, replace)
        return _insert(book, new, chosen)


def enqueue_many(
    job_type: JobType, payloads: Sequence[BaseModel | dict[str, Any]], **options: Unpack[OptionFields]
) -> list[Job]:
    """Record many jobs of one type with the same options in a few statements, in their order.

    At most ``bulk_jobs``; one wrong payload refuses all, and ``Invalid`` names its index.
    """
    if len(payloads) > settings.CONFIG.bulk_jobs:
        raise Invalid(f"at most {settings.CONFIG.bulk_jobs} jobs at once", code="too_many")
    chosen = _chosen(job_type, options)
    jobs = _all_new(job_type, _all_validated(job_type, payloads), chosen)
    lanes = [chosen.ordering_key] if chosen.ordering_key else ()
    with refusals.counted(chosen.queue or job_type.queue, len(jobs)), ledger(lanes=lanes) as book:
        _insert_all(book, jobs, chosen)
    return jobs


def _chosen(job_type: JobType, options: OptionFields) -> Options:
    options["tags"] = checked([*job_type.tags, *options.get("tags", ())])
    return Options(**options)


def _all_validated(job_type: JobType, payloads: Sequence[BaseModel | dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for index, payload in enumerate(payloads):
        try:
            yield validated(job_type, payload)
        except Invalid as error:
            fields = {f"{index}.{path}": why for path, why in error.extra.get("fields", {"": error.detail}).items()}
            raise Invalid(f"payload {index}: {error.detail}", code=error.code, fields=fields) from None


def _all_new(job_type: JobType, bodies: Iterator[dict[str, Any]], options: Options) -> list[Job]:
    """Like ``_new`` for each, which differ in nothing else; the first that is wrong refuses all."""
    jobs = [_new(job_type, body, options) for body in islice(bodies, 1)]
    shared = {**jobs[0].__dict__} if jobs else {}
    return jobs + [sql.made(Job, {**shared, "public_id": uuid7(), "payload": body}, adding=True) for body in bodies]


def _new(job_type: JobType, body: dict[str, Any], options: Options, *, unique: str = "") -> Job:
    if options.delay is not None and options.scheduled_at is not None:
        raise Invalid("give delay or scheduled_at, not both")
    delays = options.backoff if options.backoff is not None else job_type.backoff
    if delays is not None and not all(seconds >= 0 for seconds in delays):
        raise Invalid("backoff is a list of seconds, none below 0")
    queue = _queue(job_type, options)
    now = timezone.now()
    return Job(
        type=job_type.name,
        version=job_type.version,
        queue=queue,
        concurrency_key=_concurrency_key(options.concurrency_key or job_type.concurrency_key),
        fair_key=options.fair_key or options.scope or (f"user:{options.owner.pk}" if options.owner else ""),
        priority=options.priority,
        max_attempts=options.max_attempts
        or queue_settings.of(queue).max_attempts
        or job_type.max_attempts
        or settings.CONFIG.max_attempts,
        backoff=list(delays) if delays is not None else None,
        timeout_seconds=options.timeout.total_seconds() if options.timeout else None,
        keep_seconds=options.keep_for.total_seconds() if options.keep_for else None,
        unique_key=unique,
        payload=body,
        owner_id=options.owner.pk if options.owner else None,
        scheduled_at=now + options.delay if options.delay else options.scheduled_at,
        expires_at=now + options.expires_in if options.expires_in else None,
    )


def _queue(job_type: JobType, options: Options) -> str:
    queue = options.queue or job_type.queue
    if options.queue and options.queue not in settings.RQ_QUEUES:
        raise Invalid(
            f"there is no queue {queue!r}", fields={"queue": f"one of {', '.join(sorted(settings.RQ_QUEUES))}"}
        )
    return queue


def _concurrency_key(key: str) -> str:
    if len(key) > KEY_CHARACTERS or (key and not CONCURRENCY_KEY.fullmatch(key)):
        reason = "names parted by /, each of letters, digits and .:_- , as in openai/gpt-5"
        raise Invalid(f"{key!r} is no concurrency key", fields={"concurrency_key": reason})
    return key


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
    child = _child(parent, job_type, payload, step)
    _refuse_ancestors_key(child, parent)
    _born(book, child, Status.QUEUED)
    _tag([child], job_type.tags)
    return child


def insert_children(book: Ledger, parent: Job, calls: Sequence[tuple[str, JobType, dict[str, Any]]]) -> None:
    """``insert_child`` for each of these (step, type, payload), in a few statements."""
    if len(calls) > settings.CONFIG.bulk_jobs:
        raise Invalid(f"at most {settings.CONFIG.bulk_jobs} jobs at once", code="too_many")
    children = [_child(parent, job_type, payload, step) for step, job_type, payload in calls]
    for child in {child.concurrency_key: child for child in children}.values():
        _refuse_ancestors_key(child, parent)
    leading = [_line_up([child for child in children if child.queue == queue]) for queue in {c.queue for c in children}]
    for kind in {(child.type, child.version): None for child in children}:
        alike = [child for child in children if (child.type, child.version) == kind]
        hot.insert(alike)
        _tag(alike, alike[0].declared().tags)
    book.pushes += [dispatch.push(child, front=child in leading) for child in children if child.ticketed]


def _line_up(jobs: Sequence[Job]) -> Job | None:
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


def _child(parent: Job, job_type: JobType, payload: dict[str, Any], step: str) -> Job:
    child = _new(job_type, payload, Options(priority=parent.priority, fair_key=parent.fair_key))
    child.owner_id, child.scope_id = parent.owner_id, parent.scope_id
    child.parent, child.root_id, child.step = parent, parent.root_id_or_self, step
    child.status = Status.QUEUED
    return child


def _refuse_ancestors_key(child: Job, parent: Job) -> None:
    """A child that needs a permit which its own ancestor holds would wait for ever."""
    if not child.concurrency_key:
        return
    family = Job.objects.filter(Q(pk=parent.pk) | Q(pk=parent.root_id) | Q(root=parent.root_id_or_self))
    held = {path for key in family.values_list("concurrency_key", flat=True) for path in limits.prefixes(key)}
    if shared := held & set(limits.prefixes(child.concurrency_key)):
        raise HandlerMisuse(f"{child.type} needs the concurrency key {min(shared)!r}, which the request itself holds")


def _insert(book: Ledger, job: Job, options: Options) -> Job:
    _place(book, job, options)
    unfinished = _unfinished(job, options)
    admission.admit([job], scope=options.scope)
    ahead = transitions.take_place(book, job) if job.lane_id is not None and job.scheduled_at is None else 0
    status = Status.SCHEDULED if job.scheduled_at else Status.PENDING if ahead or unfinished else Status.QUEUED
    _born(book, job, status)
    _tag([job], options.tags)
    if unfinished:
        Dependency.objects.bulk_create(Dependency(job=job, on=on, if_dead=options.if_dead) for on in unfinished)
    book.tell(job, "request.queued", {"kind": job.type, "position": ahead})
    failpoint("in_enqueue")
    return job


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


def _born(book: Ledger, job: Job, status: Status) -> Job:
    job.status = status
    leading = _line_up([job])
    hot.insert([job])
    if job.ticketed:
        book.pushes.append(dispatch.push(job, front=leading is job))
    return job


def _insert_all(book: Ledger, jobs: list[Job], options: Options) -> None:
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
    leading = _line_up(jobs)
    hot.insert(jobs)
    _tag(jobs, options.tags)
    if unfinished:
        Dependency.objects.bulk_create(
            Dependency(job=job, on=on, if_dead=options.if_dead) for job in jobs for on in unfinished
        )
    for index, job in enumerate(jobs):
        book.tell(job, "request.queued", {"kind": job.type, "position": ahead + index if job.lane_id else 0})
    book.pushes += [dispatch.push(job, front=job is leading) for job in jobs if job.ticketed]


def _tag(jobs: Sequence[Job], tags: Sequence[str]) -> None:
    if tags:
        JobTag.objects.bulk_create((JobTag(job=job, tag=tag) for job in jobs for tag in tags), batch_size=1000)


def _once(book: Ledger, job: Job, options: Options, owner: Owner, key: str) -> Job:
    """The job of this key: the one it made before, or this one."""
    operation = f"{job.type}@{options.scope}"
    digest = hashlib.sha256(json.dumps(job.payload, sort_keys=True).encode()).hexdigest()
    if existing := _earlier(owner, operation, key, digest):
        return existing
    try:
        with ledger():
            inserted = _insert(book, job, options)
            IdempotencyKey.objects.create(owner_id=owner.pk, operation=operation, key=key, digest=digest, job=inserted)
            return inserted
    except IntegrityError:
        # Another transaction used the key between our look and our insert; it has committed by now.
        existing = _earlier(owner, operation, key, digest)
        if existing is None:
            raise
        return existing


def _single(book: Ledger, job: Job, options: Options, replace: bool) -> Job:
    """The open job of this type and unique key, or this one."""
    same = Job.objects.open().filter(type=job.type, unique_key=job.unique_key).select_related("scope")
    if replace and (waiting := same.filter(started_at=None).select_for_update(of=("self",)).first()):
        return _take_over(waiting, job)
    if existing := same.first():
        return existing
    try:
        with ledger():
            return _insert(book, job, options)
    except IntegrityError:
        # Another transaction made it between our look and our insert; it has committed by now.
        return same.get()


def _take_over(waiting: Job, new: Job) -> Job:
    """The locked job that has not begun, with what the new one says."""
    waiting.payload = new.payload
    if waiting.status == Status.SCHEDULED and new.scheduled_at is not None:
        waiting.scheduled_at = new.scheduled_at
    waiting.save(update_fields=["payload", "scheduled_at"])
    return waiting


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
