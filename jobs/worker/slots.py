"""The slots of a worker process: threads that run handlers, and the contexts of what is running."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

from django.db import connection
from django.utils import timezone

from jobs.context import JobContext
from jobs.execution import execute
from jobs.measures import QUEUE_TIME, RUN_TIME, Measures
from jobs.models import Job
from jobs.operations.outcomes import Ended
from jobs.worker.isolation import IsolatedRun, runs_alone, timed_out
from jobs.worker.loop import IoLoop
from jobs.worker.threads import Threads
from jobs.worker.voice import Voice

R = TypeVar("R")

Claim = tuple[int, int]
"""A job's id and the token it was claimed with: the same job may be claimed again while its old stack unwinds."""


Run = JobContext | IsolatedRun
"""A claim being worked on: in a thread of ours, or in a process of its own."""


class Slots:
    """Runs claimed jobs, at most ``size`` at once. A slot is taken before the claim, freed once the end is stored."""

    def __init__(self, size: int, hand_over: Callable[[Ended], None]) -> None:
        self.size = size
        self.progress: dict[JobContext, dict[str, Any]] = {}
        self.reported = threading.Event()
        self.measures = Measures()
        self._hand_over = hand_over
        self._free = size
        self._freed = threading.Condition()
        self._threads = Threads(size, self._run, name="slot")
        self._io = IoLoop()
        self._voice = Voice()
        self._running: dict[Claim, Run | None] = {}
        self._given_up: set[Claim] = set()

    def close(self) -> None:
        """End the threads, but for those that are stuck in a handler."""
        self._threads.close()
        self._io.close()
        self._voice.close()

    def take(self, limit: int, timeout_seconds: float) -> int:
        """Take up to ``limit`` free slots, waiting for the first; how many."""
        with self._freed:
            self._freed.wait_for(lambda: self._free, timeout_seconds)
            taken = min(limit, self._free)
            self._free -= taken
            return taken

    def free(self, count: int = 1) -> None:
        """Give slots back."""
        with self._freed:
            self._free += count
            self._freed.notify()

    def start(self, jobs: Iterable[Job]) -> None:
        """Run claimed jobs in slots that were taken for them."""
        now = timezone.now()
        for job in jobs:
            self._running[job.pk, job.token] = None
            self.measures.add(job.queue, QUEUE_TIME, (now - job.queued_at).total_seconds())
            self._threads.submit(job)

    def done(self, claim: Claim) -> None:
        """The end of a claim is stored, or was not ours to store: its slot is free, unless its thread is stuck."""
        if self._running.pop(claim, None) is None or claim not in self._given_up:
            self.free()

    @property
    def behind(self) -> bool:
        """Whether claimed jobs wait that no thread has begun."""
        return self._threads.behind

    def claims(self) -> list[Claim]:
        """What is being worked on now."""
        return list(self._running)

    def runs(self) -> list[Run]:
        """The handlers that run now."""
        return [run for run in list(self._running.values()) if run is not None]

    @property
    def lost(self) -> int:
        """How many slots are held by threads that did not stop when their time was up."""
        return len(self._given_up)

    def lose(self, run: Run) -> None:
        """Tell a handler that its claim is over: it can write no more, and its network wait ends now."""
        run.lost = True
        self._interrupt(run)

    def call_off(self, run: Run) -> None:
        """Tell a handler that its job was called off; its network wait ends now."""
        run.called_off = True
        self._interrupt(run)

    def give_up(self, run: Run) -> None:
        """Fail a job whose thread is stuck past its time. A thread can't be killed: its slot is lost until it ends."""
        claim = (run.job_id, run.token)
        if isinstance(run, IsolatedRun) or claim in self._given_up or self._io.awaits(run):
            return
        self._given_up.add(claim)
        self.lose(run)
        self._hand_over(timed_out(run.job))

    def _interrupt(self, run: Run) -> None:
        if isinstance(run, JobContext):
            self._io.interrupt(run)

    def _run(self, job: Job) -> None:
        claim = (job.pk, job.token)
        ended: Ended | None = None
        began = time.monotonic()
        try:
            ended = self._isolated(job) if runs_alone(job) else execute(job, self._context)
        finally:
            self.measures.add(job.queue, RUN_TIME, time.monotonic() - began)
            connection.close()
            if claim in self._given_up:
                self._given_up.discard(claim)
                self.free()
            elif ended is None:
                self.done(claim)
            else:
                self._hand_over(ended)

    def _isolated(self, job: Job) -> Ended | None:
        run = IsolatedRun(job)
        self._running[job.pk, job.token] = run
        connection.close()
        return run.run()

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

    def speak(self, context: JobContext, *, at_once: bool = False) -> None:
        self._voice.speak(context, at_once=at_once)
