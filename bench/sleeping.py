"""The waiting workload: many jobs that do nothing but wait, as calls of a model do."""

from __future__ import annotations

import time
from collections.abc import Callable

from bench.measures import Measure
from bench.memory import peak
from tests.waiting import wait_until

JOBS = 400
SECONDS = 0.5
DEADLINE_SECONDS = 90
WORKLOAD = f"{JOBS} jobs of {SECONDS} s"
AT_ONCE = "100 at once"
IN_MEMORY = "in 120 MB"


def sleep_through(leader: int, enqueue: Callable[[], object], completed: Callable[[], int]) -> tuple[float, float]:
    """Seconds from the first enqueue to the last job recorded as completed, and the worker's peak memory in MB."""
    before = completed()
    with peak(leader) as memory:
        began = time.perf_counter()
        for _ in range(JOBS):
            enqueue()
        wait_until(lambda: completed() == before + JOBS, timeout=DEADLINE_SECONDS, what=WORKLOAD)
        wall = time.perf_counter() - began
    return wall, memory.megabytes


def costs(how: str, wall: float, megabytes: float) -> list[Measure]:
    name = f"{WORKLOAD}, {how}"
    return [Measure(f"{name}: wall", wall, "s"), Measure(f"{name}: peak memory", megabytes, "MB")]
