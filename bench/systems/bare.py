"""No queue: by hand, the least that a job costs whose birth, claim and end are committed and whose worker is woken.

What the machine itself takes for that. A plain row without a history, one job at a time, and a job whose worker dies
is lost.
"""

from __future__ import annotations

import sys
from typing import Any

import psycopg
from redis import Redis

from bench.systems import bodies, servers
from bench.systems.installed import Missing
from bench.systems.system import QUEUE, Command, Polled

_TABLE = "CREATE TABLE job (id bigserial PRIMARY KEY, body text NOT NULL, status text NOT NULL)"
_BEGIN = "INSERT INTO job (body, status) VALUES (%s, 'queued') RETURNING id"
_CLAIM = "UPDATE job SET status = 'running' WHERE id = %s AND status = 'queued' RETURNING body"
_END = "UPDATE job SET status = 'completed' WHERE id = %s"


class Bare(Polled):
    def __init__(self) -> None:
        self._postgres, self._redis = _connected()

    def prepare(self) -> None:
        self._postgres.execute(_TABLE)

    def enqueue(self, body: str, *arguments: float) -> Any:
        ((job,),) = self._postgres.execute(_BEGIN, [body], prepare=True)
        self._redis.rpush(QUEUE, job)
        return job

    def ended(self) -> int:
        ((count,),) = self._postgres.execute("SELECT count(*) FROM job WHERE status = 'completed'")
        return int(count)

    def has_ended(self, handle: Any) -> bool:
        ((status,),) = self._postgres.execute("SELECT status FROM job WHERE id = %s", [handle], prepare=True)
        return bool(status == "completed")

    def drainers(self) -> list[Command]:
        return [[sys.executable, "-m", "bench.systems.bare"]]

    def waiters(self, slots: int) -> list[Command]:
        raise Missing("it works on one job at a time")

    def fill(self, count: int) -> None:
        raise Missing("it has one queue")


def work() -> None:
    """Run the jobs, one after the other."""
    postgres, redis = _connected()
    while True:
        _, job = redis.blpop(QUEUE)
        for (body,) in postgres.execute(_CLAIM, [int(job)], prepare=True).fetchall():
            getattr(bodies, body)()
            postgres.execute(_END, [int(job)], prepare=True)


def _connected() -> tuple[psycopg.Connection[Any], Any]:
    postgres = psycopg.connect(servers.DATABASE_URL, autocommit=True)
    return postgres, Redis.from_url(servers.REDIS_URL)


if __name__ == "__main__":
    work()
