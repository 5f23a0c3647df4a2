"""What is asked of the queue: payload and options checked, as jobs that are not recorded yet."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from itertools import chain, islice
from typing import Any, Protocol, TypedDict

from django.conf import settings
from django.utils import timezone
from pydantic import BaseModel, ValidationError
from uuid6 import uuid7

from jobs import queue_settings
from jobs.errors import Invalid
from jobs.instances import made
from jobs.models import Job
from jobs.models_dependencies import IfDead
from jobs.registry import JobType
from jobs.storable import is_storable, mistakes, unstorable
from jobs.tags import mistake as tags_mistake

KEY_CHARACTERS = 200
TEXTS = ("scope", "ordering_key", "fair_key", "unique", "idempotency_key")
CONCURRENCY_KEY = re.compile(r"(?!queue:)[\w.:-]+(/[\w.:-]+)*", re.ASCII)
PRIORITIES = range(-(2**15), 2**15)
ATTEMPTS = range(1, 10**9 + 1)
IF_DEAD = frozenset(IfDead.values)
BACKOFFS = 100
"""The most different waits before further attempts."""
SHORTEST, MOST = timedelta.resolution, timedelta(days=3650)
"""Of times that a caller may give."""


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
    idempotency_key: str = ""
    unique: str = ""
    replace: bool = False
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
        """Whether the job's own row is all that is written, whatever else there is."""
        one_of_its_kind = self.idempotency_key or self.unique
        return not (one_of_its_kind or self.scope or self.ordering_key or self.tags or self.depends_on)

    def said(self) -> dict[str, Any]:
        """What differs from the defaults."""
        return {name: value for name, value in vars(self).items() if value != getattr(Options, name)}


def options_of(
    job_type: JobType, options: OptionFields, *, idempotency_key: str = "", unique: str = "", replace: bool = False
) -> Options:
    """What the caller and the job type say, together."""
    options["tags"] = tuple(dict.fromkeys([*job_type.tags, *options.get("tags", ())]))
    return Options(**options, idempotency_key=idempotency_key, unique=unique, replace=replace)


def check(job_type: JobType, options: Options) -> None:
    """``Invalid`` names each option that is wrong, can't be stored, or contradicts another, and says why."""
    found = (_wrong_texts(options), _wrong_names(job_type, options), _wrong_numbers(job_type, options))
    if wrong := dict(chain(*found, _wrong_times(options))):
        raise Invalid(f"wrong options: {', '.join(wrong)}", fields=wrong)


Mistakes = Iterator[tuple[str, str]]
"""The names of options, each with a reason."""


def _wrong_texts(options: Options) -> Mistakes:
    for name in TEXTS:
        text = getattr(options, name)
        if text and (len(text) > KEY_CHARACTERS or not is_storable(text)):
            yield name, f"at most {KEY_CHARACTERS} characters, without NUL and halves of surrogate pairs"
    if options.idempotency_key and (options.owner is None or options.owner.pk is None):
        yield "idempotency_key", "needs an owner, whose key it is"
    if options.replace and not options.unique:
        yield "replace", "only a unique job can be replaced: give unique, too"


def _wrong_names(job_type: JobType, options: Options) -> Mistakes:
    if options.queue and options.queue not in settings.RQ_QUEUES:
        yield "queue", f"one of {', '.join(sorted(settings.RQ_QUEUES))}"
    key = options.concurrency_key or job_type.concurrency_key
    if key and (len(key) > KEY_CHARACTERS or not CONCURRENCY_KEY.fullmatch(key)):
        yield "concurrency_key", "names parted by /, each of letters, digits and .:_- , as in openai/gpt-5"
    if options.tags and (why := tags_mistake(options.tags)):
        yield "tags", why
    if options.if_dead not in IF_DEAD:
        yield "if_dead", f"one of {', '.join(IfDead.values)}"


def _wrong_numbers(job_type: JobType, options: Options) -> Mistakes:
    if options.priority not in PRIORITIES:
        yield "priority", f"{PRIORITIES[0]} to {PRIORITIES[-1]}"
    if options.max_attempts is not None and options.max_attempts not in ATTEMPTS:
        yield "max_attempts", f"{ATTEMPTS[0]} to {ATTEMPTS[-1]}"
    delays = _delays(job_type, options)
    if delays and not (len(delays) <= BACKOFFS and all(0 <= seconds <= MOST.total_seconds() for seconds in delays)):
        yield "backoff", f"at most {BACKOFFS} numbers of seconds, none below 0 or over {MOST.days} days"


def _wrong_times(options: Options) -> Mistakes:
    if options.delay is not None and options.scheduled_at is not None:
        yield "scheduled_at", "give delay or scheduled_at, not both"
    elif options.scheduled_at is not None and (why := moment_mistake(options.scheduled_at)):
        yield "scheduled_at", why
    for name in ("delay", "keep_for", "expires_in", "timeout"):
        duration = getattr(options, name)
        least = SHORTEST if name in ("expires_in", "timeout") else timedelta(0)
        if duration is not None and not least <= duration <= MOST:
            yield name, f"{'more than' if least else 'from'} 0 up to {MOST.days} days"


def moment_mistake(at: datetime) -> str:
    """Why no job can be scheduled for then; empty if one can."""
    if timezone.is_naive(at):
        return "a time with its zone"
    return f"no more than {MOST.days} days from now" if abs(at - timezone.now()) > MOST else ""


def new_job(job_type: JobType, body: dict[str, Any], options: Options) -> Job:
    """A job with this validated payload; ``Invalid`` as ``check`` says."""
    check(job_type, options)
    queue, delays = options.queue or job_type.queue, _delays(job_type, options)
    now = timezone.now()
    scheduled_at = now + options.delay if options.delay else options.scheduled_at
    values = {
        "public_id": uuid7(),
        "type": job_type.name,
        "version": job_type.version,
        "queue": queue,
        "concurrency_key": options.concurrency_key or job_type.concurrency_key,
        "fair_key": options.fair_key or options.scope or (f"user:{options.owner.pk}" if options.owner else ""),
        "priority": options.priority,
        "max_attempts": options.max_attempts
        or queue_settings.of(queue).max_attempts
        or job_type.max_attempts
        or settings.CONFIG.max_attempts,
        "backoff": list(delays) if delays is not None else None,
        "timeout_seconds": _seconds(options.timeout),
        "keep_seconds": _seconds(options.keep_for),
        "unique_key": options.unique,
        "payload": body,
        "owner_id": options.owner.pk if options.owner else None,
        "scheduled_at": scheduled_at,
        "expires_at": max(now, scheduled_at or now) + options.expires_in if options.expires_in else None,
    }
    return made(Job, {**_blank(), **values})


def _delays(job_type: JobType, options: Options) -> Sequence[float] | None:
    return options.backoff if options.backoff is not None else job_type.backoff


def _seconds(duration: timedelta | None) -> float | None:
    return None if duration is None else duration.total_seconds()


@cache
def _blank() -> dict[str, Any]:
    """A new job's values, before anything is said of it."""
    return {name: value for name, value in Job().__dict__.items() if name != "_state"}


def new_jobs(job_type: JobType, payloads: Sequence[BaseModel | dict[str, Any]], options: Options) -> list[Job]:
    """``new_job`` for each, which differ in nothing but the payload; one that is wrong refuses all."""
    bodies = _all_validated(job_type, payloads)
    jobs = [new_job(job_type, body, options) for body in islice(bodies, 1)]
    shared = {**jobs[0].__dict__} if jobs else {}
    return jobs + [made(Job, {**shared, "public_id": uuid7(), "payload": body}) for body in bodies]


def _all_validated(job_type: JobType, payloads: Sequence[BaseModel | dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for index, payload in enumerate(payloads):
        try:
            yield validated(job_type, payload)
        except Invalid as error:
            fields = {f"{index}.{path}": why for path, why in error.extra.get("fields", {"": error.detail}).items()}
            raise Invalid(f"payload {index}: {error.detail}", code=error.code, fields=fields) from None


def validated(job_type: JobType, payload: BaseModel | dict[str, Any]) -> dict[str, Any]:
    """The payload as JSON, checked against the job type and the size limit; ``Invalid`` names what is wrong."""
    try:
        model = job_type.payload.model_validate(payload)
    except ValidationError as error:
        fields = {".".join(map(str, mistake["loc"])) or "payload": mistake["msg"] for mistake in error.errors()}
        raise Invalid(f"the payload of {job_type.name} is wrong", fields=fields) from None
    body, text = _as_json(model)
    if len(text) > settings.CONFIG.payload_bytes:
        raise Invalid(f"the payload is larger than {settings.CONFIG.payload_bytes} bytes", code="too_large")
    _refuse(mistakes(body, text))
    return body


def _as_json(model: BaseModel) -> tuple[dict[str, Any], str]:
    body: dict[str, Any] = {}
    try:
        body = model.model_dump(mode="json")
        return body, json.dumps(body, allow_nan=False)
    except ValueError as error:
        _refuse(dict(unstorable(body)))
        raise Invalid("the payload can't be stored", fields={"payload": str(error)}) from None


def _refuse(wrong: dict[str, str]) -> None:
    if wrong:
        raise Invalid("the payload can't be stored", fields={path or "payload": why for path, why in wrong.items()})
