"""What is asked of the queue: payload and options checked, as jobs that are not recorded yet."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from itertools import islice
from typing import Any, Protocol, TypedDict

from django.conf import settings
from django.utils import timezone
from pydantic import BaseModel, ValidationError
from uuid6 import uuid7

from jobs import queue_settings, sql
from jobs.errors import Invalid
from jobs.models import IfDead, Job
from jobs.registry import JobType
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


def options_of(job_type: JobType, options: OptionFields) -> Options:
    """What the caller and the job type say, together."""
    options["tags"] = checked([*job_type.tags, *options.get("tags", ())])
    return Options(**options)


def new_job(job_type: JobType, body: dict[str, Any], options: Options, *, unique: str = "") -> Job:
    """A job with this validated payload; ``Invalid`` for options that contradict each other or name what is not."""
    if options.delay is not None and options.scheduled_at is not None:
        raise Invalid("give delay or scheduled_at, not both")
    delays = options.backoff if options.backoff is not None else job_type.backoff
    if delays is not None and not all(seconds >= 0 for seconds in delays):
        raise Invalid("backoff is a list of seconds, none below 0")
    queue = _queue(job_type, options)
    now = timezone.now()
    values = {
        "public_id": uuid7(),
        "type": job_type.name,
        "version": job_type.version,
        "queue": queue,
        "concurrency_key": _concurrency_key(options.concurrency_key or job_type.concurrency_key),
        "fair_key": options.fair_key or options.scope or (f"user:{options.owner.pk}" if options.owner else ""),
        "priority": options.priority,
        "max_attempts": options.max_attempts
        or queue_settings.of(queue).max_attempts
        or job_type.max_attempts
        or settings.CONFIG.max_attempts,
        "backoff": list(delays) if delays is not None else None,
        "timeout_seconds": options.timeout.total_seconds() if options.timeout else None,
        "keep_seconds": options.keep_for.total_seconds() if options.keep_for else None,
        "unique_key": unique,
        "payload": body,
        "owner_id": options.owner.pk if options.owner else None,
        "scheduled_at": now + options.delay if options.delay else options.scheduled_at,
        "expires_at": now + options.expires_in if options.expires_in else None,
    }
    return sql.made(Job, {**_blank(), **values}, adding=True)


@cache
def _blank() -> dict[str, Any]:
    """A new job's values, before anything is said of it."""
    return {name: value for name, value in Job().__dict__.items() if name != "_state"}


def new_jobs(job_type: JobType, payloads: Sequence[BaseModel | dict[str, Any]], options: Options) -> list[Job]:
    """``new_job`` for each, which differ in nothing but the payload; one that is wrong refuses all."""
    bodies = _all_validated(job_type, payloads)
    jobs = [new_job(job_type, body, options) for body in islice(bodies, 1)]
    shared = {**jobs[0].__dict__} if jobs else {}
    return jobs + [sql.made(Job, {**shared, "public_id": uuid7(), "payload": body}, adding=True) for body in bodies]


def _all_validated(job_type: JobType, payloads: Sequence[BaseModel | dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for index, payload in enumerate(payloads):
        try:
            yield validated(job_type, payload)
        except Invalid as error:
            fields = {f"{index}.{path}": why for path, why in error.extra.get("fields", {"": error.detail}).items()}
            raise Invalid(f"payload {index}: {error.detail}", code=error.code, fields=fields) from None


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
