"""Plain rq with its SimpleWorker, which runs jobs in its own process: several times as fast as the default."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from redis import Redis
from rq import Queue
from rq.job import Job
from rq.results import Result

from bench.systems import bodies, servers
from bench.systems.system import OTHER_QUEUE, PROCESSES, QUEUE, Command, Polled

CALL = 1000


class Rq(Polled):
    drain_jobs = 2000

    def __init__(self) -> None:
        self._redis = Redis.from_url(servers.REDIS_URL)
        self._queue = Queue(QUEUE, connection=self._redis)

    def enqueue(self, body: str, *arguments: float) -> Any:
        return self._queue.enqueue(getattr(bodies, body), *arguments)

    def enqueue_many(self, count: int) -> None:
        self._enqueue_many(self._queue, count)

    def ended(self) -> int:
        return self._redis.zcard(f"rq:finished:{QUEUE}")

    def has_ended(self, handle: Job) -> bool:
        result = handle.latest_result()
        return result is not None and result.type == Result.Type.SUCCESSFUL

    def drainers(self) -> list[Command]:
        return [[*self._rq("worker"), *self._how(), QUEUE]] * PROCESSES

    def waiters(self, slots: int) -> list[Command]:
        return [[*self._rq("worker-pool"), "-n", str(slots), *self._how(), QUEUE]]

    def fill(self, count: int) -> None:
        self._enqueue_many(Queue(OTHER_QUEUE, connection=self._redis), count)

    @staticmethod
    def _enqueue_many(queue: Queue, count: int) -> None:
        for begun in range(0, count, CALL):
            queue.enqueue_many([Queue.prepare_data(bodies.nothing) for _ in range(min(CALL, count - begun))])

    @staticmethod
    def _rq(command: str) -> Command:
        return [str(Path(sys.executable).parent / "rq"), command]

    @staticmethod
    def _how() -> Command:
        return ["-u", servers.REDIS_URL, "-P", ".", "-q", "-w", "rq.worker.SimpleWorker"]
