"""Dramatiq on Redis with django-dramatiq: a row in PostgreSQL for each message, written at its every step."""

from __future__ import annotations

import json
import sys
import uuid
from pathlib import Path
from typing import Any

import django
from django.core.management import call_command
from redis import Redis

from bench.systems import bodies, servers
from bench.systems.system import OTHER_QUEUE, PROCESSES, QUEUE, Command, Polled

django.setup()  # Its broker is set up with Django, and its command line imports this module.

import dramatiq  # noqa: E402

THREADS = 8
MESSAGES = f"dramatiq:{QUEUE}.msgs"
ACTORS = {
    body.__name__: dramatiq.actor(body, queue_name=QUEUE) for body in (bodies.nothing, bodies.stamp, bodies.sleep)
}
OTHER = dramatiq.actor(bodies.nothing, actor_name="other", queue_name=OTHER_QUEUE)


class Dramatiq(Polled):
    drain_jobs = 1500
    bulk = False

    def prepare(self) -> None:
        call_command("migrate", verbosity=0)
        self._redis = Redis.from_url(servers.REDIS_URL)
        self._sent = 0

    def enqueue(self, body: str, *arguments: float) -> Any:
        self._sent += 1
        return ACTORS[body].send(*arguments)

    def ended(self) -> int:
        """Acknowledged, which comes after the row says "done"; the row itself may go back to "enqueued" for ever.

        The sender writes its row after it has sent: what ends sooner is overwritten.
        """
        return self._sent - int(self._redis.hlen(MESSAGES))

    def has_ended(self, handle: Any) -> bool:
        return not self._redis.hexists(MESSAGES, handle.options["redis_message_id"])

    def drainers(self) -> list[Command]:
        return [self._workers(THREADS)]

    def waiters(self, slots: int) -> list[Command]:
        return [self._workers(slots // PROCESSES)]

    def fill(self, count: int) -> None:
        """Copies of one message, for it has no call for many; the rows are left out."""
        one = OTHER.message()
        one = json.loads(one.copy(options={"redis_message_id": ""}).encode())
        key = f"dramatiq:{OTHER_QUEUE}"
        pipe = self._redis.pipeline(transaction=False)
        for begun in range(0, count, 1000):
            ids = [str(uuid.uuid4()) for _ in range(min(1000, count - begun))]
            for each in ids:
                copy = one | {"message_id": each, "options": {"redis_message_id": each}}
                pipe.hset(f"{key}.msgs", each, json.dumps(copy))
            pipe.rpush(key, *ids)
            pipe.execute()

    @staticmethod
    def _workers(threads: int) -> Command:
        cli = str(Path(sys.executable).parent / "dramatiq")
        each = ["-p", str(PROCESSES), "-t", str(threads), "-Q", QUEUE]
        return [cli, "bench.systems.dramatiq", *each, "--path", ".", "--skip-logging"]
