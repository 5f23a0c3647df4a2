"""Jobs that do nothing but wait, as calls of a model do: as many at a time as there are slots."""

from __future__ import annotations

import time

from bench.measures import Measure
from bench.memory import peak
from bench.systems.system import System
from bench.workloads.working import await_ended, working

SECONDS = 0.5


def measure(system: System, *, jobs: int = 400, slots: int = 100) -> list[Measure]:
    """Seconds from the first enqueue, one after the other, to the last job recorded as ended; the workers' memory."""
    with working(system, system.waiters(slots)) as processes:
        before = system.ended()
        with peak(*processes.workers) as memory:
            began = time.perf_counter()
            system.enqueue_each(jobs, "sleep", SECONDS)
            await_ended(system, before + jobs)
            wall = time.perf_counter() - began
    name = f"{jobs:,} jobs of {SECONDS} s, {slots:,} at once"
    return [Measure(f"{name}: wall", wall, "s"), Measure(f"{name}: peak memory", memory.megabytes, "MB")]
