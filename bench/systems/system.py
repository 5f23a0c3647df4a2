"""What is measured: how jobs get in, which processes work on them, and what the system's own record says."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

from bench.systems import bodies

Command = Sequence[str]

QUEUE = "bench"
OTHER_QUEUE = "backlog"
PROCESSES = 2
"""Worker processes that drain and answer: one for each core of the machine we aim at."""
POLL_SECONDS = 0.001
DEADLINE_SECONDS = 30.0


class RoundTrip(NamedTuple):
    """Seconds from a caller's enqueue until the call returns, to the job's first line, until its end can be seen."""

    call: float
    start: float
    result: float


class System(ABC):
    """One system in one database and one Redis of its own, as its documentation tells to use it."""

    drain_jobs = 5000
    """How many jobs tell its rate: those that start a process for each job need fewer to say the same."""
    bulk = True
    """Whether it has a call that enqueues many."""

    def prepare(self) -> None:  # noqa: B027  # most need nothing
        """Make what it needs in its empty database."""

    @abstractmethod
    def enqueue(self, body: str, *arguments: float) -> Any:
        """One job with this body of ``bench.systems.bodies``; what the caller keeps to ask for it."""

    @abstractmethod
    def ended(self) -> int:
        """How many jobs have ended by the system's own record."""

    @abstractmethod
    def drainers(self) -> list[Command]:
        """The workers that drain: as many processes as the machine has cores, tuned as is best for it."""

    @abstractmethod
    def waiters(self, slots: int) -> list[Command]:
        """The worker that runs so many waiting jobs at a time."""

    def beside(self) -> list[Command]:
        """What else has to run."""
        return []

    def enqueue_many(self, count: int) -> None:
        """As many jobs that do nothing, by the call for many if there is one."""
        for _ in range(count):
            self.enqueue("nothing")

    def enqueue_each(self, count: int, body: str = "nothing", *arguments: float) -> list[float]:
        """One after the other; seconds that each call took."""
        seconds = []
        for _ in range(count):
            began = time.perf_counter()
            self.enqueue(body, *arguments)
            seconds.append(time.perf_counter() - began)
        return seconds

    @abstractmethod
    def fill(self, count: int) -> None:
        """So many jobs wait in another queue that no worker serves, in the fastest way there is."""

    @abstractmethod
    def round_trip(self) -> RoundTrip:
        """One job there and back, seen by a caller who asks once a millisecond; ``TimeoutError``."""


class Polled(System):
    """One whose callers are in this process, and ask."""

    @abstractmethod
    def has_ended(self, handle: Any) -> bool:
        """Whether a caller who asks for this job now is told that it has ended."""

    def round_trip(self) -> RoundTrip:
        began = time.monotonic_ns()
        handle = self.enqueue("stamp")
        called = time.monotonic_ns()
        while not self.has_ended(handle):
            if time.monotonic_ns() - began > DEADLINE_SECONDS * 1e9:
                raise TimeoutError(f"no end to be seen in {DEADLINE_SECONDS:g} s")
            time.sleep(POLL_SECONDS)
        ended = time.monotonic_ns()
        return RoundTrip(*((at - began) / 1e9 for at in (called, bodies.stamped(), ended)))
