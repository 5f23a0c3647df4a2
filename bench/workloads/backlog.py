"""The same with very many jobs waiting in another queue, as a ratio to without, in the same run."""

from __future__ import annotations

from bench.measures import Measure, percentile
from bench.systems.system import System
from bench.workloads.start import round_trips
from bench.workloads.working import await_ended, working

WAITING = 200_000
SINGLY = 300


def measure(system: System) -> list[Measure]:
    with working(system, system.drainers()):
        without = _medians(system)
        system.fill(WAITING)
        with_it = _medians(system)
    there = f"with {WAITING:,} waiting in another queue"
    return [
        measure
        for what, seconds in with_it.items()
        for measure in (
            Measure(f"{what} {there}: ratio", seconds / without[what], "x"),
            Measure(f"{what} {there}, p50", seconds * 1000, "ms"),
        )
    ]


def _medians(system: System) -> dict[str, float]:
    """Seconds. What was enqueued is worked off before jobs go one by one."""
    before = system.ended()
    enqueue = percentile(system.enqueue_each(SINGLY), 0.5)
    await_ended(system, before + SINGLY)
    _, start, result = zip(*round_trips(system), strict=True)
    return {"enqueue": enqueue, "start": percentile(start, 0.5), "result": percentile(result, 0.5)}
