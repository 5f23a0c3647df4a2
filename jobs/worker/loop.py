"""The event loop of a worker process, on which all ``ctx.io`` of all its slots is awaited."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar

from jobs.context import JobContext
from jobs.operations.leases import CancelRequested, LeaseLost

R = TypeVar("R")


class IoLoop:
    """One thread with one loop. A wait can be ended at once, which no thread blocked in a socket can be."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._closed = asyncio.Event()
        self._waiting: dict[JobContext, Future[Any]] = {}
        threading.Thread(target=self._run, name="io", daemon=True).start()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._wait_for_close())

    async def _wait_for_close(self) -> None:
        await self._closed.wait()

    def close(self) -> None:
        """End the thread soon, with what providers keep open on its loop."""
        self._loop.call_soon_threadsafe(self._closed.set)

    def run(self, context: JobContext, coroutine: Coroutine[Any, Any, R], timeout_seconds: float) -> R:
        """The result. ``TimeoutError`` past the time; ``LeaseLost`` or ``CancelRequested`` when interrupted."""
        future = asyncio.run_coroutine_threadsafe(asyncio.wait_for(coroutine, timeout_seconds), self._loop)
        self._waiting[context] = future
        try:
            if context.lost or context.called_off:
                future.cancel()
            return future.result()
        except CancelledError:
            if context.called_off:
                raise CancelRequested from None
            raise LeaseLost(f"job {context.job_id} was interrupted") from None
        finally:
            self._waiting.pop(context, None)

    def awaits(self, context: JobContext) -> bool:
        """Whether this context waits for the network, which has a timeout of its own."""
        return context in self._waiting

    def interrupt(self, context: JobContext) -> None:
        """End what this context waits for."""
        if future := self._waiting.get(context):
            future.cancel()
