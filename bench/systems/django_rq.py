"""django-rq as its documentation tells to run it: a stock worker forks a process for each job."""

from __future__ import annotations

import sys
from typing import Any

from django_rq import get_queue
from rq.job import Job
from rq.results import Result

from bench.systems import bodies
from bench.systems.system import OTHER_QUEUE, PROCESSES, QUEUE, Command, Polled


class DjangoRq(Polled):
    drain_jobs = 400
    bulk = False  # it is rq's

    def __init__(self) -> None:
        self._queue = get_queue(QUEUE)

    def enqueue(self, body: str, *arguments: float) -> Any:
        return self._queue.enqueue(getattr(bodies, body), *arguments)

    def ended(self) -> int:
        return int(self._queue.finished_job_registry.get_job_count(cleanup=False))

    def has_ended(self, handle: Job) -> bool:
        result = handle.latest_result()
        return result is not None and result.type == Result.Type.SUCCESSFUL

    def drainers(self) -> list[Command]:
        return [[sys.executable, "-m", "django", "rqworker", "-v", "0", QUEUE]] * PROCESSES

    def waiters(self, slots: int) -> list[Command]:
        return [[sys.executable, "-m", "django", "rqworker-pool", "--num-workers", str(slots), "-v", "0", QUEUE]]

    def fill(self, count: int) -> None:
        queue = get_queue(OTHER_QUEUE)
        for _ in range(count):
            queue.enqueue(bodies.nothing)
