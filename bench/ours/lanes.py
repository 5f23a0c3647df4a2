"""No-op jobs in lanes, each job's events numbered in a scope, as the requests of a game are."""

from __future__ import annotations

from bench.jobtypes import NOTHING
from bench.measures import Measure
from bench.systems.system import System
from bench.workloads.drain import drain
from bench.workloads.working import working
from jobs.events.ledger import ledger
from jobs.operations.enqueue import enqueue_many

LANES = 500
EACH = 10


def measure(system: System) -> list[Measure]:
    with working(system, system.drainers()) as processes:
        drained = drain(system, processes, LANES * EACH, load)
    return [Measure("drain no-op jobs with lanes and scopes", drained.rate, "/s", "higher")]


def load() -> None:
    keys = [f"bench:{lane}" for lane in range(LANES)]
    with ledger(lanes=keys):
        for key in keys:
            enqueue_many(NOTHING, [{}] * EACH, scope=key, ordering_key=key)
