"""What operators and callers ask of a queue in which very many wait."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from itertools import count

from bench.measures import Measure, latencies
from bench.systems.ours import OTHER_QUEUE
from bench.systems.system import System
from jobs import listing
from jobs.models import Job
from jobs.operations import controls, queues
from jobs.operations.operator import Operator
from jobs.states import Status

ROWS = 200_000
TIMES = 50
PAGE = 50
OPERATOR = Operator(user=None, via="bench")


def measure(system: System) -> list[Measure]:
    system.fill(ROWS)
    waiting = Job.objects.filter(queue=OTHER_QUEUE, status=Status.QUEUED)
    middle = waiting.order_by("id")[ROWS // 2]
    ids = count(middle.pk)
    found: dict[str, Callable[[], object]] = {
        f"list {PAGE}": partial(listing.page, Job.objects.all(), before=None, limit=PAGE),
        f"list {PAGE} of a queue and status from the middle": partial(
            listing.page, waiting, before=middle.public_id, limit=PAGE
        ),
        "count by queue and status": listing.queue_rows,
        "pause": partial(queues.pause_queue, OTHER_QUEUE, by=OPERATOR),
        "resume": partial(queues.resume_queue, OTHER_QUEUE, by=OPERATOR),
        "cancel": lambda: controls.cancel(next(ids)),
    }
    times: dict[str, list[float]] = {name: [] for name in found}
    for _ in range(TIMES):  # in turns: only a queue that runs can be paused
        for name, operation in found.items():
            times[name].append(_seconds(operation))
    return [measure for name, took in times.items() for measure in latencies(f"{name}, {ROWS:,} waiting", took)]


def _seconds(operation: Callable[[], object]) -> float:
    began = time.perf_counter()
    operation()
    return time.perf_counter() - began
