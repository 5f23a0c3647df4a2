"""Ten times as many no-op jobs at once, for those who are fast enough."""

from bench.measures import Measure
from bench.systems.system import System
from bench.workloads.drain import drain
from bench.workloads.working import working

JOBS = 50_000


def measure(system: System) -> list[Measure]:
    with working(system, system.drainers()) as processes:
        drained = drain(system, processes, JOBS, lambda: system.enqueue_many(JOBS))
    return [Measure(f"drain {JOBS:,} no-op jobs", drained.rate, "/s", "higher")]
