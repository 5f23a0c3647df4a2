"""Channels' layer in memory, to which threads without an event loop may speak too."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from copy import deepcopy
from typing import Any

from channels.layers import InMemoryChannelLayer

FOR_EVER_SECONDS = 10 * 365 * 86400
"""A listener leaves its groups itself; Channels would end its membership after a day."""


class MemoryLayer(InMemoryChannelLayer):  # type: ignore[misc]  # Channels has no types
    """Each listener is told on the event loop that it listens on. One that doesn't keep up misses what comes then."""

    def __init__(self, **options: Any) -> None:
        super().__init__(group_expiry=FOR_EVER_SECONDS, **options)
        self._loops: dict[str, asyncio.AbstractEventLoop] = {}

    async def receive(self, channel: str) -> dict[str, Any]:
        self._loops[channel] = asyncio.get_running_loop()
        message: dict[str, Any] = await super().receive(channel)
        return message

    def publish(self, group: str, message: dict[str, Any]) -> None:
        """Tell all who listen to this group, from any thread."""
        for channel in list(self.groups.get(group, ())):
            with suppress(LookupError, RuntimeError):  # it has just left, or its loop is closed
                self._loops[channel].call_soon_threadsafe(self._put, channel, message)

    def _put(self, channel: str, message: dict[str, Any]) -> None:
        queue = self.channels.setdefault(channel, asyncio.Queue(self.get_capacity(channel)))
        with suppress(asyncio.QueueFull):
            queue.put_nowait((time.time() + self.expiry, deepcopy(message)))
