"""No-op jobs: how fast they are enqueued, one by one and in bulk, and worked off once all are there."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from bench.cpu import cpu_seconds
from bench.measures import Measure, latencies
from bench.systems import servers
from bench.systems.processes import Processes
from bench.systems.system import System
from bench.workloads.working import await_ended, working

SINGLY = 400


class Drained(NamedTuple):
    """What it took to work off some jobs: seconds, and CPU seconds of each part."""

    jobs: int
    seconds: float
    workers: float
    postgres: float
    redis: float

    @property
    def rate(self) -> float:
        """Jobs a second."""
        return self.jobs / self.seconds

    @property
    def cpu(self) -> float:
        """CPU seconds of all parts."""
        return self.workers + self.postgres + self.redis

    def costs(self) -> list[Measure]:
        """CPU for each job."""
        parts = {"worker": self.workers, "PostgreSQL": self.postgres, "Redis": self.redis}
        return [Measure(f"drain: CPU of {who} a job", used / self.jobs * 1e6, "us") for who, used in parts.items()]


def measure(system: System) -> list[Measure]:
    bulk: list[Measure] = []
    singly: list[float] = []
    rest = system.drain_jobs - SINGLY

    def load() -> None:
        singly.extend(system.enqueue_each(SINGLY))
        began = time.perf_counter()
        system.enqueue_many(rest)
        seconds = time.perf_counter() - began
        bulk.extend([Measure("enqueue in bulk", rest / seconds, "/s", "higher")] * system.bulk)

    with working(system, system.drainers()) as processes:
        drained = drain(system, processes, system.drain_jobs, load)
    each = [
        Measure("enqueue one by one", SINGLY / sum(singly), "/s", "higher"),
        *latencies("enqueue one by one", singly),
    ]
    return [*each, *bulk, Measure("drain no-op jobs", drained.rate, "/s", "higher"), *drained.costs()]


def drain(system: System, processes: Processes, jobs: int, load: Callable[[], object]) -> Drained:
    """From the moment the workers, held still while so many jobs are loaded, go on, until all are recorded as ended."""
    before = system.ended()
    with processes.held():
        load()
        used = _used(processes)
        began = time.perf_counter()
    await_ended(system, before + jobs)
    seconds = time.perf_counter() - began
    return Drained(jobs, seconds, *(after - was for after, was in zip(_used(processes), used, strict=True)))


def _used(processes: Processes) -> tuple[float, float, float]:
    return processes.cpu_seconds(), cpu_seconds(servers.postgres_pid()), cpu_seconds(servers.redis_pid())
