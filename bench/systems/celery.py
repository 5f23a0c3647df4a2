"""Celery on Redis with django-celery-results: a row in PostgreSQL for each task, written when it ends."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from celery import Celery as App
from django.core.management import call_command
from redis import Redis

from bench.systems import bodies, servers
from bench.systems.copies import multiply
from bench.systems.system import OTHER_QUEUE, PROCESSES, QUEUE, Command, Polled

THREADS = 10

app = App("bench", broker=servers.REDIS_URL.replace("unix://", "redis+socket://"))
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.task_default_queue = QUEUE
TASKS = {body.__name__: app.task(body) for body in (bodies.nothing, bodies.stamp, bodies.sleep)}


class Celery(Polled):
    drain_jobs = 2000
    bulk = False

    def prepare(self) -> None:
        call_command("migrate", verbosity=0)

    def enqueue(self, body: str, *arguments: float) -> Any:
        return TASKS[body].apply_async(arguments)

    def ended(self) -> int:
        from django_celery_results.models import TaskResult

        return int(TaskResult.objects.filter(status="SUCCESS").count())

    def has_ended(self, handle: Any) -> bool:
        return bool(handle.ready())

    def drainers(self) -> list[Command]:
        return [self._worker(f"drain{number}", THREADS) for number in range(PROCESSES)]

    def waiters(self, slots: int) -> list[Command]:
        return [self._worker("wait", slots)]

    def fill(self, count: int) -> None:
        TASKS["nothing"].apply_async(queue=OTHER_QUEUE)
        multiply(Redis.from_url(servers.REDIS_URL), OTHER_QUEUE, count)

    @staticmethod
    def _worker(name: str, threads: int) -> Command:
        celery = str(Path(sys.executable).parent / "celery")
        worker = [celery, "-A", "bench.systems.celery", "worker", "-Q", QUEUE, "-n", f"{name}@bench"]
        return [*worker, "-P", "threads", "-c", str(threads), "-l", "WARNING", "--without-gossip", "--without-mingle"]
