"""The streams that this process watches, and what keeps them new.

A wake-up through Redis brings a new event within milliseconds; without any, one query a second
(``follow_seconds``) for the heads of all watched scopes brings it within that second.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from weakref import WeakKeyDictionary

from django.conf import settings

from accounts.threads import in_thread
from jobs.ephemeral import Ephemeral
from jobs.overview import overview
from jobs.streams.rows import read_heads
from jobs.streams.stream import Stream
from jobs.streams.tails import Tails
from jobs.streams.wakeups import Wakeups
from jobs.transport import group_name, job_group_name

logger = logging.getLogger(__name__)


class Hub:
    """One for each event loop: each watched scope is read once, however many watch it."""

    def __init__(self) -> None:
        self._streams: dict[int, Stream] = {}
        self._watchers: Counter[int] = Counter()
        self._tails = Tails()
        self._wakeups = Wakeups(self._hear, self._pass_on, self._tails.stir)
        self._ask = asyncio.create_task(self._ask_for_ever())
        self._tell = asyncio.create_task(self._tell_of_queues_for_ever())

    @asynccontextmanager
    async def watch(self, scope_id: int) -> AsyncIterator[Stream]:
        """The scope's stream, kept new for as long as the block runs."""
        async with self.watch_many([scope_id]) as streams:
            yield streams[scope_id]

    @asynccontextmanager
    async def watch_many(self, scope_ids: Collection[int]) -> AsyncIterator[dict[int, Stream]]:
        """The streams of several scopes, begun with one query."""
        self._watchers.update(scope_ids)
        try:
            if unknown := [scope_id for scope_id in scope_ids if scope_id not in self._streams]:
                heads = await in_thread(read_heads, unknown)
                for scope_id in unknown:
                    self._streams.setdefault(scope_id, Stream(scope_id, heads.get(scope_id, 0)))
                self._listen()
            yield {scope_id: self._streams[scope_id] for scope_id in scope_ids}
        finally:
            self._watchers.subtract(scope_ids)
            self._forget_unwatched(scope_ids)

    def _forget_unwatched(self, scope_ids: Collection[int]) -> None:
        for scope_id in scope_ids:
            if self._watchers[scope_id] <= 0:
                del self._watchers[scope_id]
                self._streams.pop(scope_id, None)
        self._listen()

    @contextmanager
    def watch_job(self, job_id: int) -> Iterator[asyncio.Event]:
        """Set, while the block runs, whenever there may be news of the job in the record; the watcher clears it."""
        try:
            with self._tails.of(job_id) as news:
                self._listen()
                yield news
        finally:
            self._listen()

    def _listen(self) -> None:
        self._wakeups.listen_to([*map(group_name, self._streams), *map(job_group_name, self._tails.watched)])

    def _hear(self, scope_id: int, head: int) -> None:
        if stream := self._streams.get(scope_id):
            stream.hear(head)

    def _pass_on(self, scope_id: int, told: Ephemeral) -> None:
        if stream := self._streams.get(scope_id):
            stream.pass_on(told)

    async def _ask_for_ever(self) -> None:
        while True:
            await asyncio.sleep(settings.CONFIG.follow_seconds)
            try:
                await self._tails.ask()
                heads = await in_thread(read_heads, list(self._streams)) if self._streams else {}
            except Exception:
                logger.exception("the watched scopes and jobs can't be asked for news")
                continue
            for scope_id, head in heads.items():
                self._hear(scope_id, head)

    async def _tell_of_queues_for_ever(self) -> None:
        """How the queues stand, to all who watch anything, and only what is new."""
        told: dict[str, Any] = {}
        while True:
            await asyncio.sleep(settings.CONFIG.queue_status_seconds)
            if not self._streams:
                continue
            try:
                if (now := overview.fresh) is None:
                    now = await in_thread(overview.read)
            except Exception:
                logger.exception("how the queues stand can't be asked")
                continue
            if (shown := now.for_players()) != told:
                self._pass_to_all(shown)
                told = shown

    def _pass_to_all(self, data: dict[str, Any]) -> None:
        told = Ephemeral(event="queue.status", request_id=None, data=data, deciders_only=False)
        for stream in self._streams.values():
            stream.pass_on(told)


_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = WeakKeyDictionary()


def hub() -> Hub:
    """The hub of the running event loop."""
    loop = asyncio.get_running_loop()
    if loop not in _hubs:
        _hubs[loop] = Hub()
    return _hubs[loop]
