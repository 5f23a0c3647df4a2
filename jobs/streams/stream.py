"""One scope's events in this process: the newest in memory, the older ones by page from the database.

Readers pull. Nothing is queued for a reader, so one that is slow, or has gone to sleep, costs nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress

from django.conf import settings
from django.db import Error as DatabaseError

from accounts.threads import in_thread
from jobs.ephemeral import Ephemeral
from jobs.streams.rows import Row, read_heads, read_rows

logger = logging.getLogger(__name__)

PAGE_ROWS = 200
RECENT_ROWS = 400
INBOX_ITEMS = 64

Inbox = asyncio.Queue[Ephemeral]


class Stream:
    """Shared by all who watch the scope. ``head`` is the number of the last event that was read."""

    def __init__(self, scope_id: int, head: int) -> None:
        self.scope_id = scope_id
        self.head = head
        self._recent: list[Row] = []
        self._heard = head
        self._news = asyncio.Event()
        self._pull: asyncio.Task[None] | None = None
        self._inboxes: set[Inbox] = set()

    async def after(self, cursor: int, limit: int = PAGE_ROWS) -> list[Row]:
        """At most ``limit`` events that follow ``cursor``, without a gap; ``[]`` if it is at the head or past it.

        While the database that holds older ones is away, it waits for it.
        """
        behind = self.head - cursor
        if behind <= 0:
            return []
        if behind <= len(self._recent):
            return self._recent[-behind:][:limit]
        while True:
            try:
                return await in_thread(read_rows, self.scope_id, cursor, limit)
            except DatabaseError as error:
                logger.warning("earlier events can't be read, trying again: %s", error)
                await asyncio.sleep(settings.CONFIG.follow_seconds)

    async def changed(self, cursor: int) -> None:
        """Wait until there is an event after ``cursor``."""
        while self.head <= cursor:
            await self._news.wait()

    async def follow(self, cursor: int) -> AsyncIterator[Row]:
        """Every event after ``cursor`` that is still kept, each once, in order, for ever."""
        while True:
            await self.changed(cursor)
            head = self.head
            rows = await self.after(cursor)
            cursor = rows[-1].seq if rows else head
            for row in rows:
                yield row

    @contextmanager
    def listen(self) -> Iterator[Inbox]:
        """What is said in passing while the block runs. Who leaves more than a few unread misses what comes then."""
        inbox = Inbox(INBOX_ITEMS)
        self._inboxes.add(inbox)
        try:
            yield inbox
        finally:
            self._inboxes.discard(inbox)

    def pass_on(self, told: Ephemeral) -> None:
        """Hand a passing event to those who listen."""
        for inbox in self._inboxes:
            with suppress(asyncio.QueueFull):
                inbox.put_nowait(told)

    async def refresh(self) -> None:
        """Be as new as the database is now, whatever was heard."""
        heads = await in_thread(read_heads, [self.scope_id])
        self.hear(heads.get(self.scope_id, self.head))
        if self._pull:
            await asyncio.shield(self._pull)

    def hear(self, head: int) -> None:
        """Somebody says that the scope's last event is ``head``. Only the database is believed: it is asked."""
        self._heard = max(self._heard, head)
        if self._heard > self.head and self._pull is None:
            self._pull = asyncio.create_task(self._read_new())

    async def _read_new(self) -> None:
        try:
            while (heard := self._heard) > self.head:
                rows = await in_thread(read_rows, self.scope_id, self.head, PAGE_ROWS)
                self._append(rows)
                if not rows and heard == self._heard:
                    self._heard = self.head  # A false hint, or a true one that will be repeated in a second.
        except DatabaseError as error:
            logger.warning("new events can't be read, trying again with the next wake-up: %s", error)
            self._heard = self.head
        finally:
            self._pull = None

    def _append(self, rows: list[Row]) -> None:
        if not rows:
            return
        self._recent = [*self._recent, *rows][-RECENT_ROWS:]
        self.head = rows[-1].seq
        news, self._news = self._news, asyncio.Event()
        news.set()
