"""The slots of a worker process: threads that run handlers, and the contexts of what is running."""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from django.db import connection

from jobs.context import JobContext
from jobs.execution import execute
from jobs.models import Job
from jobs.operations.outcomes import Ended
from jobs.worker.loop import IoLoop

R = TypeVar("R")

Claim = tuple[int, int]
"""A job's id and the token it was claimed with: the same job may be claimed again while its old stack unwinds."""


class Slots:
    """Runs claimed jobs, at most ``size`` at once. A slot is taken before the claim, freed once the end is stored."""

    def __init__(self, size: int, hand_over: Callable[[Ended], None]) -> None:
        self.size = size
        self.progress: dict[JobContext, dict[str, Any]] = {}
        self.reported = threading.Event()
        self._hand_over = hand_over
        self._free = threading.Semaphore(size)
        self._threads = ThreadPoolExecutor(size, thread_name_prefix="slot")
        self._io = IoLoop()
        self._running: dict[Claim, JobContext | None] = {}

    def take(self, limit: int, timeout_seconds: float) -> int:
        """Take up to ``limit`` free slots, waiting for the first; how many."""
        if not self._free.acquire(timeout=timeout_seconds):
            return 0
        taken = 1
        while taken < limit and self._free.acquire(blocking=False):
            taken += 1
        return taken

    def free(self, count: int = 1) -> None:
        """Give slots back."""
        if count:
            self._free.release(count)

    def start(self, job: Job) -> None:
        """Run a claimed job in a slot that was taken for it."""
        self._running[job.pk, job.token] = None
        self._threads.submit(self._run, job)

    def done(self, claim: Claim) -> None:
        """The end of a claim is stored, or was not ours to store: its slot is free."""
        del self._running[claim]
        self.free()

    def claims(self) -> list[Claim]:
        """What occupies slots now."""
        return list(self._running)

    def contexts(self) -> list[JobContext]:
        """The contexts of the handlers that run now."""
        return [context for context in list(self._running.values()) if context is not None]

    def lose(self, context: JobContext) -> None:
        """Tell a handler that its claim is over: it can write no more, and its network wait ends now."""
        context.lost = True
        self._io.interrupt(context)

    def call_off(self, context: JobContext) -> None:
        """Tell a handler that its job was called off; its network wait ends now."""
        context.called_off = True
        self._io.interrupt(context)

    def _run(self, job: Job) -> None:
        ended: Ended | None = None
        try:
            ended = execute(job, self._context)
        finally:
            connection.close()
            if ended is None:
                self.done((job.pk, job.token))
            else:
                self._hand_over(ended)

    def _context(self, job: Job) -> JobContext:
        context = JobContext(job, self)
        self._running[job.pk, job.token] = context
        return context

    # -- jobs.context.Runtime --

    def run_io(self, context: JobContext, coroutine: Coroutine[Any, Any, R], timeout_seconds: float) -> R:
        return self._io.run(context, coroutine, timeout_seconds)

    def report(self, context: JobContext, progress: dict[str, Any]) -> None:
        self.progress[context] = progress
        self.reported.set()
