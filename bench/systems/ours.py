"""The project itself, as it is deployed: every setting at its default, the scheduler beside the workers."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import connection

from bench.jobtypes import BODIES, NOTHING, Nap, Nothing
from bench.systems.system import PROCESSES, Command, Polled
from jobs.models import Job
from jobs.operations.enqueue import enqueue, enqueue_many
from jobs.states import Status
from queueproject.stack import commands

OTHER_QUEUE = "assets"


class Ours(Polled):
    def enqueue(self, body: str, *arguments: float) -> Any:
        payload = Nap(seconds=arguments[0]) if arguments else Nothing()
        return enqueue(BODIES[body], payload).pk

    def enqueue_many(self, count: int) -> None:
        for size in self.calls(count):
            enqueue_many(NOTHING, [{}] * size)

    def ended(self) -> int:
        return Job.objects.filter(status=Status.COMPLETED).count()

    def has_ended(self, handle: Any) -> bool:
        return Job.objects.values_list("status").get(pk=handle) == (Status.COMPLETED,)

    def drainers(self) -> list[Command]:
        return self.waiters(settings.CONFIG.worker_concurrency) * PROCESSES

    def waiters(self, slots: int) -> list[Command]:
        return [[*commands.worker(), "--queues", NOTHING.queue, "--concurrency", str(slots)]]

    def beside(self) -> list[Command]:
        return [commands.scheduler()]

    def fill(self, count: int) -> None:
        for size in self.calls(count):
            enqueue_many(NOTHING, [{}] * size, queue=OTHER_QUEUE)
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")

    @staticmethod
    def calls(count: int) -> list[int]:
        """How many jobs each call takes, for so many in all."""
        most = settings.CONFIG.bulk_jobs
        return [min(most, count - begun) for begun in range(0, count, most)]
