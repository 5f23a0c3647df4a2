"""No-op jobs under every limit there is, as a ratio to none, taken in turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from statistics import median

from django.conf import settings

from bench.jobtypes import NOTHING
from bench.measures import Measure
from bench.systems.processes import Processes
from bench.systems.system import PROCESSES, System
from bench.workloads.drain import Drained, drain
from bench.workloads.working import working
from jobs import queue_settings
from jobs.models_limits import Limit
from jobs.models_metrics import QueueSettings
from jobs.operations.enqueue import enqueue_many

JOBS = 5000
ROUNDS = 5
KEY = "bench"
RATE = "1000000/second, 999999999/day"
SEEN_SECONDS = 0.5
"""Beyond the time after which a change of the settings holds everywhere."""


def measure(system: System) -> list[Measure]:
    with working(system, system.drainers()) as processes:
        turns = [(_free(system, processes), _limited(system, processes)) for _ in range(ROUNDS)]
    limited = [drained for _, drained in turns]
    return [
        Measure("drain with every limit on", median(each.rate for each in limited), "/s", "higher"),
        Measure("drain with every limit on: ratio", _ratio(turns, lambda drained: drained.rate), "x", "higher"),
        Measure("drain with every limit on: CPU of all a job", median(each.cpu for each in limited) / JOBS * 1e6, "us"),
        Measure("drain with every limit on: CPU of all a job, ratio", _ratio(turns, lambda drained: drained.cpu), "x"),
    ]


def _ratio(turns: Sequence[tuple[Drained, Drained]], number: Callable[[Drained], float]) -> float:
    """Of a turn with limits to the one without just before it, so that both had the same machine; the median."""
    return median(number(limited) / number(free) for free, limited in turns)


def _free(system: System, processes: Processes) -> Drained:
    QueueSettings.objects.all().delete()
    Limit.objects.all().delete()
    return _drained(system, processes, key="")


def _limited(system: System, processes: Processes) -> Drained:
    """The queue, and a key of two parts, run as many at once as there are slots; two rates and a cap let all in."""
    slots = PROCESSES * settings.CONFIG.worker_concurrency
    QueueSettings.objects.create(queue=NOTHING.queue, concurrency=slots, rate=RATE, waiting=10 * JOBS)
    Limit.objects.create(key=KEY, concurrency=slots)
    Limit.objects.create(key=f"{KEY}/part", concurrency=slots)
    return _drained(system, processes, key=f"{KEY}/part")


def _drained(system: System, processes: Processes, *, key: str) -> Drained:
    queue_settings.forget()
    time.sleep(settings.CONFIG.queue_settings_seconds + SEEN_SECONDS)
    load = partial(enqueue_many, NOTHING, [{}] * JOBS, concurrency_key=key)
    return drain(system, processes, JOBS, load)
