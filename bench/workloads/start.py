"""One job at a time on an idle system: until its first line runs, and until the caller can see that it has ended."""

from __future__ import annotations

import random
import time

from bench.measures import Measure, latencies
from bench.systems.system import RoundTrip, System
from bench.workloads.working import working

COUNT = 100
UNCOUNTED = 10
PAUSE_SECONDS = (0.01, 0.03)
LONGEST_SECONDS = 12
"""Those who look for work once in a while get fewer jobs."""


def measure(system: System) -> list[Measure]:
    with working(system, system.drainers()):
        return told(round_trips(system))


def told(trips: list[RoundTrip]) -> list[Measure]:
    call, start, result = zip(*trips, strict=True)
    return [
        *latencies("submit: the call", call),
        *latencies("submit to start", start),
        *latencies("submit to result", result),
    ]


def round_trips(system: System) -> list[RoundTrip]:
    """Jobs with pauses, so that nothing else goes on; those at the beginning left out."""
    trips: list[RoundTrip] = []
    ends_at = time.monotonic() + LONGEST_SECONDS
    while len(trips) < UNCOUNTED + COUNT and (time.monotonic() < ends_at or not trips):
        time.sleep(random.uniform(*PAUSE_SECONDS))
        trips.append(system.round_trip())
    return trips[UNCOUNTED:] or trips
