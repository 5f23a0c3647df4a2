"""Waiting jobs on a pool of stock workers, which run one job at a time each."""

from django_rq import get_queue

from bench import sleeping
from bench.measures import Measure
from bench.peer.processes import pool
from bench.peer.tasks import sleep

AS_MANY_AS_SLOTS = 100
WORKERS_IN_MEMORY = 4
"""So many fit into about 120 MB: each has a process of its own, and while it works another for the job."""


def measure() -> list[Measure]:
    return [*_costs(sleeping.AT_ONCE, AS_MANY_AS_SLOTS), *_costs(sleeping.IN_MEMORY, WORKERS_IN_MEMORY)]


def _costs(how: str, workers: int) -> list[Measure]:
    queue = get_queue()
    with pool(workers) as leader:
        wall, megabytes = sleeping.sleep_through(
            leader, lambda: queue.enqueue(sleep, sleeping.SECONDS), lambda: int(queue.finished_job_registry.count)
        )
    return sleeping.costs(how, wall, megabytes)
