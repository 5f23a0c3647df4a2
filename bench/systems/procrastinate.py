"""Procrastinate on PostgreSQL: a row for each job and each change of it, LISTEN and NOTIFY, jobs as coroutines."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management import call_command
from django.db import connection

from bench.systems.system import OTHER_QUEUE, PROCESSES, QUEUE, Command, Polled

CONCURRENCY = 100


class Procrastinate(Polled):
    drain_jobs = 2000

    def prepare(self) -> None:
        call_command("migrate", verbosity=0)
        from bench.systems.procrastinate_tasks import TASKS

        self._tasks = TASKS

    def enqueue(self, body: str, *arguments: float) -> Any:
        return self._tasks[body].defer(**({"seconds": arguments[0]} if arguments else {}))

    def enqueue_many(self, count: int) -> None:
        self._tasks["nothing"].batch_defer(*[{}] * count)

    def ended(self) -> int:
        return int(self._ask("SELECT count(*) FROM procrastinate_jobs WHERE status = 'succeeded'"))

    def has_ended(self, handle: Any) -> bool:
        return bool(self._ask("SELECT status = 'succeeded' FROM procrastinate_jobs WHERE id = %s", handle))

    def drainers(self) -> list[Command]:
        return [self._worker(CONCURRENCY)] * PROCESSES

    def waiters(self, slots: int) -> list[Command]:
        return [self._worker(slots)]

    def fill(self, count: int) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO procrastinate_jobs (queue_name, task_name) "
                "SELECT %s, 'bench.nothing' FROM generate_series(1, %s)",
                [OTHER_QUEUE, count],
            )
            cursor.execute("ANALYZE")

    @staticmethod
    def _ask(question: str, *arguments: Any) -> Any:
        with connection.cursor() as cursor:
            cursor.execute(question, arguments)
            return (cursor.fetchone() or [None])[0]

    @staticmethod
    def _worker(concurrency: int) -> Command:
        worker = [sys.executable, "-m", "django", "procrastinate", "worker", "-q", QUEUE]
        return [*worker, "--concurrency", str(concurrency)]
