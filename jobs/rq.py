"""RQ's queue as this project uses it: RQ's lists carry tickets, the database answers every question.

For RQ's own screens and command line:
``rq info --queue-class jobs.rq.TicketQueue --worker-class jobs.rq.RecordedWorker``.
"""

from __future__ import annotations

from typing import Any

import django
from django.apps import apps

if not apps.ready:  # RQ's command line imports this module before anything else
    django.setup()

from django.conf import settings
from redis import Redis
from rq import Queue
from rq.job import Job as RqJob
from rq.worker import BaseWorker

from jobs.listing import find, worker_rows
from jobs.models import Job, JobQuerySet
from jobs.states import Status

SHOWN_JOBS = 100
"""How many jobs a listing of a queue shows at most."""


class Recorded:
    """What RQ calls a registry: the jobs of a queue in one status, counted in the database."""

    def __init__(self, queue: str, status: Status) -> None:
        self._jobs: JobQuerySet = Job.objects.filter(queue=queue, status=status)

    def __len__(self) -> int:
        return self.count

    @property
    def count(self) -> int:
        return self._jobs.count()

    def get_job_ids(self, start: int = 0, end: int = -1) -> list[str]:
        """The newest, ``SHOWN_JOBS`` at most."""
        last = start + SHOWN_JOBS if end < 0 else min(end + 1, start + SHOWN_JOBS)
        return [
            str(public_id) for public_id in self._jobs.order_by("-pk").values_list("public_id", flat=True)[start:last]
        ]

    def cleanup(self, *args: Any, **kwargs: Any) -> None:
        """Nothing to do: the scheduler keeps the record."""


class TicketQueue(Queue):
    """An RQ queue whose list holds tickets. RQ's own look-ups would delete them, because they have no job hash."""

    @classmethod
    def all(cls, connection: Redis, *args: Any, **kwargs: Any) -> list[Queue]:
        """The queues there are, whether anything was ever pushed to them or not."""
        return [cls(name, connection=connection) for name in settings.QUEUES]

    def get_job_ids(self, offset: int = 0, length: int = -1) -> list[str]:
        queued = Job.objects.filter(queue=self.name, status=Status.QUEUED).in_order()
        count = SHOWN_JOBS if length < 0 else min(length, SHOWN_JOBS)
        return [str(public_id) for public_id in queued.values_list("public_id", flat=True)[offset : offset + count]]

    def fetch_job(self, job_id: str) -> RqJob | None:
        job = find(job_id)
        return _shown(job, self) if job and job.queue == self.name else None

    def get_jobs(self, offset: int = 0, length: int = -1) -> list[RqJob]:
        return [job for job_id in self.get_job_ids(offset, length) if (job := self.fetch_job(job_id))]

    @property
    def count(self) -> int:
        return Recorded(self.name, Status.QUEUED).count

    @property
    def started_job_registry(self) -> Recorded:
        return Recorded(self.name, Status.RUNNING)

    @property
    def finished_job_registry(self) -> Recorded:
        return Recorded(self.name, Status.COMPLETED)

    @property
    def failed_job_registry(self) -> Recorded:
        return Recorded(self.name, Status.DEAD)

    @property
    def deferred_job_registry(self) -> Recorded:
        return Recorded(self.name, Status.PENDING)

    @property
    def scheduled_job_registry(self) -> Recorded:
        return Recorded(self.name, Status.SCHEDULED)

    @property
    def canceled_job_registry(self) -> Recorded:
        return Recorded(self.name, Status.CANCELLED)

    def compact(self) -> None:
        """Nothing to do: a ticket of a job that is gone is dropped by whoever pops it."""

    def empty(self) -> int:
        """Refused: tickets are only hints, and jobs are not thrown away from here."""
        raise PermissionError("jobs are called off by `manage.py drain`, not by emptying RQ's list")


class RecordedWorker(BaseWorker):
    """A worker as RQ's screens want it, from its row. RQ's own list knows nothing of a Redis that was emptied."""

    successful_job_count = failed_job_count = "-"  # type: ignore[assignment]  # counted by queue: see /metrics

    def __init__(self, row: dict[str, Any]) -> None:
        self.name: str = row["name"]
        self.birth_date = row["started_at"]
        self.last_heartbeat = row["beat_at"]
        self.hostname, _, self.pid = self.name.rpartition(".")
        self.ip_address = "-"
        self._row = row

    @classmethod
    def all(cls, connection: Any = None, *args: Any, queue: Queue | None = None, **kwargs: Any) -> list[Any]:
        """Those whose lease is good, or of them those that serve this queue."""
        return [cls(row) for row in worker_rows() if queue is None or queue.name in row["queues"]]

    def queue_names(self) -> list[str]:
        return list(self._row["queues"])

    def get_state(self) -> str:
        if self._row["paused_at"]:
            return "suspended"
        return "busy" if self._row["busy"] else "idle"


def _shown(job: Job, queue: Queue) -> RqJob:
    """A job as RQ's screens want it: in memory only, nothing is written to Redis."""
    shown = RqJob(id=str(job.public_id), connection=queue.connection)
    shown.origin = queue.name
    shown.created_at = shown.enqueued_at = job.created_at
    shown.description = job.type
    return shown
