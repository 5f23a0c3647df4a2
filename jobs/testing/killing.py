"""Killing what runs a job: at one place, or at every place that it passes."""

from __future__ import annotations

from collections.abc import Callable

from jobs import failpoints
from jobs.context import JobContext
from jobs.inline import inline_context
from jobs.models import Job
from jobs.operations.leases import LeaseLost
from jobs.testing.running import ContextOf, bury_worker


class Killer:
    """Kills each job once at each failpoint, or at ``only`` one, as kill -9 would; what was killed is rescued.

    ``at`` are the places, in order.
    """

    def __init__(self, only: str = "") -> None:
        self.at: list[str] = []
        self._only = only
        self._killed: set[tuple[int | None, str]] = set()
        self._job: int | None = None
        self._hit = False

    def turn(self, run: Callable[[ContextOf], Job | None]) -> bool:
        """Let it run something with a context; whether there was anything to run."""
        self._job, self._hit = None, False
        ran = False
        with failpoints.everywhere(self._pass):
            try:
                ran = run(self._context) is not None
            except LeaseLost:  # where the queue was at work, and not a handler
                ran = True
        if self._hit:
            bury_worker()
        return ran

    def _context(self, job: Job) -> JobContext:
        self._job = job.pk
        return inline_context(job)

    def _pass(self, name: str) -> None:
        place = (self._job, name)
        if place not in self._killed and self._only in ("", name):
            self._killed.add(place)
            self.at.append(name)
            self._hit = True
            raise LeaseLost(f"killed by the test at {name}")
