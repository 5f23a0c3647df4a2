"""Running a handler where no worker process lends its event loop: in a process of its own, and in tests."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from jobs.context import JobContext
from jobs.models import Job
from jobs.transport import transport

R = TypeVar("R")


class InlineRuntime:
    """``jobs.context.Runtime`` for the calling thread. Progress is stored between waits, not within them."""

    def __init__(self) -> None:
        self._progress: dict[str, Any] | None = None
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
        if not self._awaiting:
            self._store(context)

    def speak(self, context: JobContext) -> None:
        if context.job.scope_id is not None and (told := context.chunks.take()):
            transport().say(context.job.scope_id, told)

    def _store(self, context: JobContext) -> None:
        if self._progress is not None:
            with context.guard.lifted():
                Job.objects.filter(pk=context.job_id, token=context.token).update(progress=self._progress)
                context.declared.tell_progress(self._progress)
            self._progress = None


async def _within(coroutine: Coroutine[Any, Any, R], seconds: float) -> R:
    return await asyncio.wait_for(coroutine, seconds)


def inline_context(job: Job) -> JobContext:
    """The context of a claimed job that runs in the calling thread."""
    return JobContext(job, InlineRuntime())
