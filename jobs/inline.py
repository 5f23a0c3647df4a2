"""Running a handler where no worker process lends its event loop: in a process of its own, and in tests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

from django.conf import settings

from jobs.context import JobContext
from jobs.models import Job
from jobs.operations.progress import keep
from jobs.transport import transport

R = TypeVar("R")


class InlineRuntime:
    """``jobs.context.Runtime`` for the calling thread. Progress is stored between waits, not within them."""

    def __init__(self) -> None:
        self._progress: dict[str, Any] | None = None
        self._next_store = 0.0
        self._awaiting = False

    def run_io(self, context: JobContext, coroutine: Coroutine[Any, Any, R], timeout_seconds: float) -> R:
        self._awaiting = True
        try:
            return asyncio.run(_within(coroutine, timeout_seconds))
        finally:
            self._awaiting = False
            self._store(context)

    def report(self, context: JobContext, progress: dict[str, Any]) -> None:
        self._progress = progress
        if not self._awaiting and time.monotonic() >= self._next_store:
            self._store(context)

    def speak(self, context: JobContext, *, at_once: bool = False) -> None:
        transport().say(*context.untold())

    def _store(self, context: JobContext) -> None:
        if self._progress is not None:
            with context.guard.lifted():
                keep([(context.job, self._progress)])
                context.declared.tell_progress(self._progress)
            self._progress = None
            self._next_store = time.monotonic() + settings.CONFIG.progress_seconds


async def _within(coroutine: Coroutine[Any, Any, R], seconds: float) -> R:
    return await asyncio.wait_for(coroutine, seconds)


def inline_context(job: Job) -> JobContext:
    """The context of a claimed job that runs in the calling thread."""
    return JobContext(job, InlineRuntime())
