"""Staying connected: by the game's event stream, and by asking while no stream is open."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import aclosing
from typing import Any, Literal, NoReturn, TypeVar

from console.errors import Refused, Unreachable
from console.patience import Patience
from console.sse import Event

SIGNED_OUT = (401, 403, 404)

T = TypeVar("T")


class Link:
    """Keeps to the event stream that ``stream`` opens and hands its events to ``hear``.

    While none is open, however that came, it has ``look`` ask how everything stands, and tries a stream again and
    again. ``say`` is told when that changes, and whether it is live.
    """

    def __init__(
        self,
        patience: Patience,
        *,
        stream: Callable[[], AsyncGenerator[Event]],
        hear: Callable[[Event], Awaitable[None]],
        look: Callable[[], Awaitable[None]],
        say: Callable[[str, bool], None],
    ) -> None:
        self._patience = patience
        self._stream = stream
        self._hear = hear
        self._look = look
        self._say = say
        self._by: Literal["", "stream", "asking"] = ""
        self._why = ""
        self._failures = 0
        self._unanswered = 0
        self._look_at = 0.0

    @property
    def stands(self) -> bool:
        """Whether news arrive, in whichever way."""
        return bool(self._by)

    async def hold(self) -> NoReturn:
        """For ever. ``Refused`` once the game itself can't be read any more."""
        self._look_later()
        while True:
            try:
                await self._listen()
                self._why = "the event stream has ended"
                await self._meanwhile(asyncio.sleep(self._patience.first_wait_seconds))
            except (Unreachable, Refused) as error:
                await self._pause(error)

    async def _listen(self) -> None:
        async with aclosing(self._stream()) as events:
            event = await self._meanwhile(_next(events))
            if event is None:
                raise Unreachable("the event stream ended before it began")
            try:
                while event:
                    await self._hear(event)
                    self._listens()
                    event = await _next(events)
            finally:
                self._look_later()

    def _listens(self) -> None:
        self._failures = self._unanswered = 0
        if self._by != "stream":
            self._by = "stream"
            self._say("connected", True)

    async def _pause(self, error: Unreachable | Refused) -> None:
        """Until the stream is tried again: soon at first, and later the more rarely if asking does instead."""
        self._why = str(error)
        if _is_signed_out(error):
            await self._ask()  # Something on the way may refuse the stream alone.
        longest = self._patience.stream_again_seconds if self._by == "asking" else self._patience.longest_wait_seconds
        wait = self._patience.wait(self._failures, error, longest_seconds=longest)
        self._failures += 1
        if self._by != "asking":
            self._by = ""
            self._say(f"not connected: {error}; again in {wait:.1f} s", False)
        await self._meanwhile(asyncio.sleep(wait))

    async def _meanwhile(self, work: Coroutine[Any, Any, T]) -> T:
        """What comes of it; the server is asked whenever that is due before."""
        task = asyncio.create_task(work)
        try:
            while not task.done():
                done, _ = await asyncio.wait([task], timeout=max(0.0, self._look_at - time.monotonic()))
                if not done:
                    await self._ask()
            return task.result()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _ask(self) -> None:
        try:
            await self._look()
        except (Unreachable, Refused) as error:
            if _is_signed_out(error):
                raise
            self._look_later(self._patience.wait(self._unanswered, error))
            self._unanswered += 1
            if self._by:
                self._by = ""
                self._say(f"not connected: {error}", False)
        else:
            self._look_later()
            self._unanswered = 0
            if self._by != "asking":
                self._by = "asking"
                self._say(f"asking every {self._patience.poll_seconds:g} s instead of a stream: {self._why}", False)

    def _look_later(self, wait: float = 0.0) -> None:
        self._look_at = time.monotonic() + max(wait, self._patience.poll_seconds)


def _is_signed_out(error: Unreachable | Refused) -> bool:
    return isinstance(error, Refused) and error.status in SIGNED_OUT


async def _next(events: AsyncGenerator[Event]) -> Event | None:
    return await anext(events, None)
