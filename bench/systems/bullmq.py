"""BullMQ 6, on Redis or on its PostgreSQL backend. What is timed is timed in Node, where its callers are."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from bench.systems import servers
from bench.systems.system import PROCESSES, Command, RoundTrip, System
from queueproject.stack.orphans import die_with_parent

SCRIPT = Path(__file__).with_suffix(".mjs")
CONCURRENCY = 100


class BullMq(System):
    """On Redis."""

    def prepare(self) -> None:
        os.environ["BENCH_REDIS_SOCKET"] = servers.redis_socket()
        self._node = subprocess.Popen(
            ["node", str(SCRIPT), "serve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            preexec_fn=die_with_parent,
            text=True,
        )
        self._ask("ready")

    def enqueue(self, body: str, *arguments: float) -> None:
        self.enqueue_each(1, body, *arguments)

    def enqueue_each(self, count: int, body: str = "nothing", *arguments: float) -> list[float]:
        took: list[float] = self._ask("each", count=count, body=body, seconds=sum(arguments))
        return took

    def enqueue_many(self, count: int) -> None:
        self._ask("many", count=count)

    def ended(self) -> int:
        return int(self._ask("ended"))

    def round_trip(self) -> RoundTrip:
        return RoundTrip(*self._ask("roundTrip"))

    def fill(self, count: int) -> None:
        self._ask("fill", count=count)

    def drainers(self) -> list[Command]:
        return self.waiters(CONCURRENCY) * PROCESSES

    def waiters(self, slots: int) -> list[Command]:
        return [["node", str(SCRIPT), "work", str(slots)]]

    def _ask(self, what: str, **how: Any) -> Any:
        assert self._node.stdin is not None
        assert self._node.stdout is not None
        self._node.stdin.write(json.dumps({"ask": what, **how}) + "\n")
        self._node.stdin.flush()
        return json.loads(self._node.stdout.readline())


class BullMqOnPostgres(BullMq):
    """On its PostgreSQL backend: nothing in Redis."""

    def prepare(self) -> None:
        of = servers.database()
        os.environ["BENCH_BULLMQ_POSTGRES"] = json.dumps(
            {"host": of["HOST"], "user": of["USER"], "database": of["NAME"]}
        )
        super().prepare()
