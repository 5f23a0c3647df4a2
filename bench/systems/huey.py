"""Huey on Redis: a list and a hash of results. A job that is running when its worker dies is gone."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from huey import RedisHuey
from redis import Redis

from bench.systems import bodies, servers
from bench.systems.copies import multiply
from bench.systems.system import OTHER_QUEUE, PROCESSES, QUEUE, Command, Polled

THREADS = 4

huey = RedisHuey(QUEUE, url=servers.REDIS_URL)
other = RedisHuey(OTHER_QUEUE, url=servers.REDIS_URL)


def _told(body: Any) -> Any:
    """With a result: Huey keeps none for ``None``, and nobody could tell that the job has ended."""

    def run(*arguments: float) -> bool:
        body(*arguments)
        return True

    return run


TASKS = {
    body.__name__: huey.task(name=body.__name__)(_told(body)) for body in (bodies.nothing, bodies.stamp, bodies.sleep)
}
OTHER = other.task()(bodies.nothing)


class Huey(Polled):
    bulk = False

    def __init__(self) -> None:
        self._redis = Redis.from_url(servers.REDIS_URL)

    def enqueue(self, body: str, *arguments: float) -> Any:
        return TASKS[body](*arguments)

    def ended(self) -> int:
        return int(self._redis.hlen(f"huey.results.{QUEUE}"))

    def has_ended(self, handle: Any) -> bool:
        return handle.get(blocking=False, preserve=True) is not None

    def drainers(self) -> list[Command]:
        return [self._consumer(THREADS), *[[*self._consumer(THREADS), "-n"]] * (PROCESSES - 1)]

    def waiters(self, slots: int) -> list[Command]:
        return [self._consumer(slots)]

    def fill(self, count: int) -> None:
        OTHER()
        multiply(self._redis, f"huey.redis.{OTHER_QUEUE}", count)

    @staticmethod
    def _consumer(threads: int) -> list[str]:
        consumer = str(Path(sys.executable).parent / "huey_consumer")
        return [consumer, "bench.systems.huey.huey", "-k", "thread", "-w", str(threads), "-q"]
