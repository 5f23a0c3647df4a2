"""What carries hints and news between those who change the record and those who work or watch. Never state.

Hints are tickets, news is "head = n" and passing events. Through Redis they go on RQ's lists and the channel layer; a
ticket there is ``<job id>-<token>`` and nothing else, so whoever can write to Redis cannot run code. Every function
here survives a Redis that is slow, full or gone: it says so by its result and leaves the rest to the sweep. Within one
process ``jobs.memory_transport`` carries the same.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, NamedTuple, Protocol

from channels.layers import get_channel_layer
from django.conf import settings
from django.utils.module_loading import import_string
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from jobs.ephemeral import Ephemeral

logger = logging.getLogger(__name__)

JOB_MESSAGE_TYPE = "job"
FULL_TICKS = 0.1
"""How long a list that was seen full is taken to be so: whoever is enqueued after it was emptied waits for that."""
TICKET = re.compile(rb"\A(\d{1,18})-(\d{1,9})\Z")


class Ticket(NamedTuple):
    """A hint that this job, if its token is still this, may be claimed."""

    job_id: int
    token: int

    def __str__(self) -> str:
        return f"{self.job_id}-{self.token}"


class Push(NamedTuple):
    """A ticket on its way to a queue; rescued jobs go to the front."""

    queue: str
    ticket: Ticket
    front: bool = False


def parse(raw: bytes) -> Ticket | None:
    """The ticket in a list item, or ``None`` for anything that is not two numbers."""
    match = TICKET.match(raw)
    return Ticket(int(match[1]), int(match[2])) if match else None


def queue_key(queue: str) -> str:
    """RQ's own list of this queue."""
    return f"rq:queue:{queue}"


def group_name(scope_id: int) -> str:
    """The channel-layer group that hears of a scope's new head."""
    return f"scope.{scope_id}"


def job_group_name(job_id: int) -> str:
    """The channel-layer group that hears that there is news of one job."""
    return f"job.{job_id}"


def connect(*, blocking_seconds: float = 0.0) -> Redis:
    """A client that fails fast instead of retrying: a repeated push may double a ticket, a stuck one holds a thread."""
    timeout = settings.CONFIG.redis_timeout_seconds
    return Redis.from_url(
        settings.CONFIG.redis_url,
        socket_timeout=timeout + blocking_seconds,
        socket_connect_timeout=timeout,
        retry=Retry(NoBackoff(), 0),
    )


class Breaker:
    """After an error, no call for ``redis_timeout_seconds``: an outage must not slow every request down."""

    def __init__(self) -> None:
        self._closed_until = 0.0

    @property
    def open(self) -> bool:
        return time.monotonic() < self._closed_until

    def trip(self, error: RedisError) -> None:
        self._closed_until = time.monotonic() + settings.CONFIG.redis_timeout_seconds
        logger.warning("redis is away, hints are left to the sweep: %s", error)


class Transport(Protocol):
    """What carries hints and news, as the queue uses it. None of it may be needed: any may be lost or doubled."""

    def send(self, pushes: Iterable[Push], heads: Mapping[int, int]) -> bool:
        """Hand out tickets and tell of heads; ``False`` if they were not taken. Called once it is committed."""

    def say(self, told: Iterable[tuple[int, Ephemeral]], stirred: Iterable[int] = ()) -> bool:
        """Tell those who watch these scopes now, and let those who watch these jobs look into the record.

        ``False`` if it was not taken.
        """

    def length(self, queue: str) -> int | None:
        """How many tickets lie on the queue's list; ``None`` if that can't be said."""

    def full(self, queue: str) -> bool:
        """Whether the queue's list was at its window a moment ago."""

    def empty(self, queue: str) -> None:
        """Throw the queue's tickets away, to be handed out anew."""


class RedisTransport:
    """The process's line to Redis; which queues' lists were seen full a moment ago."""

    def __init__(self) -> None:
        self.redis = connect()
        self.breaker = Breaker()
        self._full_until: dict[str, float] = {}

    def send(self, pushes: Iterable[Push], heads: Mapping[int, int]) -> bool:
        """Push tickets and publish heads in one round trip; ``False`` if Redis did not take them."""
        if self.breaker.open:
            return False
        pipe = self.redis.pipeline(transaction=False)
        lists = self._add_pushes(pipe, pushes)
        for scope_id, head in heads.items():
            pipe.publish(*_head_message(scope_id, head))
        if not pipe.command_stack:
            return True
        try:
            replies = pipe.execute()
        except RedisError as error:
            self.breaker.trip(error)
            return False
        for queue, length in zip(lists, replies, strict=False):
            self._note_length(queue, length)
        return True

    @staticmethod
    def _add_pushes(pipe: Any, pushes: Iterable[Push]) -> list[str]:
        lists: dict[tuple[str, bool], list[str]] = {}
        for push in pushes:
            lists.setdefault((push.queue, push.front), []).append(str(push.ticket))
        for (queue, front), tickets in lists.items():
            (pipe.lpush if front else pipe.rpush)(queue_key(queue), *tickets)
        return [queue for queue, _ in lists]

    def say(self, told: Iterable[tuple[int, Ephemeral]], stirred: Iterable[int] = ()) -> bool:
        """All of it in one round trip, for which it waits; ``False`` if Redis did not take it."""
        if self.breaker.open:
            return False
        pipe = self.redis.pipeline(transaction=False)
        for scope_id, each in told:
            pipe.publish(*_group_message(group_name(scope_id), each.message(scope_id)))
        for job_id in stirred:
            pipe.publish(*_group_message(job_group_name(job_id), {"type": JOB_MESSAGE_TYPE, "job": job_id}))
        try:
            pipe.execute()
        except RedisError as error:
            self.breaker.trip(error)
            return False
        return True

    def _note_length(self, queue: str, length: int) -> None:
        if length >= settings.CONFIG.ticket_window:
            self._full_until[queue] = time.monotonic() + settings.CONFIG.tick_seconds * FULL_TICKS
        else:
            self._full_until.pop(queue, None)

    def full(self, queue: str) -> bool:
        """Whether the queue's list was at its window a moment ago."""
        return time.monotonic() < self._full_until.get(queue, 0.0)

    def empty(self, queue: str) -> None:
        """Throw the queue's tickets away, to be handed out anew."""
        if not self.breaker.open:
            try:
                self.redis.delete(queue_key(queue))
            except RedisError as error:
                self.breaker.trip(error)
        self._full_until.pop(queue, None)

    def length(self, queue: str) -> int | None:
        """How many tickets lie on the queue's list; ``None`` if Redis cannot say."""
        if self.breaker.open:
            return None
        try:
            length = self.redis.llen(queue_key(queue))
        except RedisError as error:
            self.breaker.trip(error)
            return None
        assert isinstance(length, int)
        self._note_length(queue, length)
        return length


def _head_message(scope_id: int, head: int) -> tuple[str, bytes]:
    return _group_message(group_name(scope_id), {"type": "head", "scope": scope_id, "head": head})


def _group_message(group: str, message: dict[str, Any]) -> tuple[str, bytes]:
    """What the pub/sub channel layer itself would publish, without an event loop (channels_redis.pubsub)."""
    layer: Any = get_channel_layer()
    return f"asgi__group__{group}", layer.serialize(message)


@cache
def transport() -> Transport:
    """This process's transport."""
    made: Transport = import_string(settings.TRANSPORT)()
    return made
