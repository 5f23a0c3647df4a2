"""RQ's queue and worker as this project uses them: RQ's lists carry tickets, the database answers every question."""

from __future__ import annotations

import os
import socket
from typing import Any

from redis import Redis
from rq import Queue
from rq.job import Job as RqJob
from rq.worker import BaseWorker

from jobs.models import Job
from jobs.states import Status

SHOWN_JOBS = 100
"""How many jobs a listing of a queue shows at most."""


class TicketQueue(Queue):
    """An RQ queue whose list holds tickets. RQ's own look-ups would delete them, because they have no job hash."""

    def get_job_ids(self, offset: int = 0, length: int = -1) -> list[str]:
        queued = Job.objects.filter(queue=self.name, status=Status.QUEUED).in_order()
        count = SHOWN_JOBS if length < 0 else min(length, SHOWN_JOBS)
        return [str(public_id) for public_id in queued.values_list("public_id", flat=True)[offset : offset + count]]

    def fetch_job(self, job_id: str) -> RqJob | None:
        job = Job.objects.filter(queue=self.name, public_id=job_id).first()
        return _shown(job, self) if job else None

    def get_jobs(self, offset: int = 0, length: int = -1) -> list[RqJob]:
        return [job for job_id in self.get_job_ids(offset, length) if (job := self.fetch_job(job_id))]

    @property
    def count(self) -> int:
        return Job.objects.filter(queue=self.name, status=Status.QUEUED).count()

    def compact(self) -> None:
        """Nothing to do: a ticket of a job that is gone is dropped by whoever pops it."""

    def empty(self) -> int:
        """Refused: tickets are only hints, and jobs are not thrown away from here."""
        raise PermissionError("jobs are removed in the queue's own admin, not by emptying RQ's list")


def _shown(job: Job, queue: Queue) -> RqJob:
    """A job as RQ's screens want it: in memory only, nothing is written to Redis."""
    shown = RqJob(id=str(job.public_id), connection=queue.connection)
    shown.origin = queue.name
    shown.created_at = shown.enqueued_at = job.created_at
    shown.description = job.type
    return shown


class RegisteredWorker(BaseWorker):
    """RQ's registration and signals, without its bookkeeping of jobs and without stretching the socket timeout."""

    queue_class = TicketQueue

    def __init__(self, queues: list[str], *, name: str, connection: Redis) -> None:
        super().__init__(queues, name=name, connection=connection, prepare_for_work=False)
        self.hostname = socket.gethostname()
        self.pid = os.getpid()

    def _set_connection(self, connection: Redis) -> Redis:
        """RQ would wait 415 s for a hung Redis; ours is given up after ``redis_timeout_seconds``."""
        return connection

    def execute_job(self, job: Any, queue: Any) -> None:
        """Never called: a ticket is claimed in the database, not executed from Redis."""
        raise PermissionError("jobs are claimed in the database")
