"""What is heard on the channel layer: "scope s is now at n", "there is news of job j", and passing events.

All of it may be late, doubled, false or missing.

One channel of this process joins the group of each scope and job that is watched. While Redis is away nothing
arrives; it is joined again as soon as Redis is back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any
from uuid import uuid4

from channels.layers import get_channel_layer
from django.conf import settings
from redis.exceptions import RedisError

from jobs.ephemeral import MESSAGE_TYPE, Ephemeral
from jobs.transport import JOB_MESSAGE_TYPE

logger = logging.getLogger(__name__)


def _without_traceback(record: logging.LogRecord) -> bool:
    """While Redis is away the layer logs a traceback every second; a line of it says as much."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, RedisError):
        record.levelno, record.levelname, record.exc_info = logging.WARNING, "WARNING", None
        record.msg = f"no wake-ups while Redis is away: {error}"
    return True


logging.getLogger("channels_redis.pubsub").addFilter(_without_traceback)


class Wakeups:
    """Calls ``on_head``, ``on_passing`` or ``on_job`` with what is heard in the groups it was told to listen to."""

    def __init__(
        self,
        on_head: Callable[[int, int], None],
        on_passing: Callable[[int, Ephemeral], None],
        on_job: Callable[[int], None],
    ) -> None:
        self._on_head = on_head
        self._on_passing = on_passing
        self._on_job = on_job
        self._layer: Any = get_channel_layer()
        self._channel = f"hub.{uuid4().hex}"
        self._wanted: set[str] = set()
        self._joined: set[str] = set()
        self._stale = asyncio.Event()
        # In this order: a layer knows a channel, and lets it join groups, once somebody receives from it.
        self._tasks = [asyncio.create_task(self._receive_for_ever()), asyncio.create_task(self._join_for_ever())]

    def listen_to(self, groups: Iterable[str]) -> None:
        """Listen to these groups and no others, from soon on."""
        self._wanted = set(groups)
        self._stale.set()

    async def _receive_for_ever(self) -> None:
        while True:
            try:
                self._hear(await self._layer.receive(self._channel))
            except Exception as error:
                await _pause(error)

    def _hear(self, message: dict[str, Any]) -> None:
        """What another release says, or somebody else on Redis, may be nothing that we know."""
        try:
            if message["type"] == JOB_MESSAGE_TYPE:
                self._on_job(int(message["job"]))
            elif message["type"] == MESSAGE_TYPE:
                self._on_passing(int(message["scope"]), Ephemeral.from_message(message))
            else:
                self._on_head(int(message["scope"]), int(message["head"]))
        except (LookupError, TypeError, ValueError) as error:
            logger.debug("a message that says nothing: %r", error)

    async def _join_for_ever(self) -> None:
        while True:
            await self._stale.wait()
            self._stale.clear()
            try:
                await self._join_and_leave()
            except Exception as error:
                self._stale.set()
                await _pause(error)

    async def _join_and_leave(self) -> None:
        for group in self._wanted - self._joined:
            await self._layer.group_add(group, self._channel)
            self._joined.add(group)
        for group in self._joined - self._wanted:
            await self._layer.group_discard(group, self._channel)
            self._joined.discard(group)


async def _pause(error: Exception) -> None:
    logger.warning("no wake-ups for now, events are found by asking: %r", error)
    await asyncio.sleep(settings.CONFIG.redis_timeout_seconds)
