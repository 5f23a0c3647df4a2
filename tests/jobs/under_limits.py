"""Asking, claiming and ending, one thing at a time or many at once, under limits that a test sets."""

from __future__ import annotations

from typing import TypeVar

from jobs import queue_settings
from jobs.models import Job
from jobs.models_limits import Limit
from jobs.models_metrics import QueueSettings
from jobs.operations import leases
from jobs.operations.enqueue import enqueue
from jobs.operations.outcomes import Ended, How, settle
from tests.jobs.kinds import ECHO, Plan

T = TypeVar("T")


def bound(**fields: object) -> None:
    """Set limits of the queue ``system``."""
    QueueSettings.objects.update_or_create(queue="system", defaults=fields)
    queue_settings.forget()


def limit(key: str, concurrency: int | None) -> None:
    Limit.objects.update_or_create(key=key, defaults={"concurrency": concurrency})
    queue_settings.forget()


def ask(count: int, **options: object) -> list[Job]:
    return [enqueue(ECHO, Plan(text=str(n)), **options) for n in range(count)]  # type: ignore[arg-type]


def claim(limit: int = 100, queue: str = "system") -> list[Job]:
    worker = leases.register(name="w", queues=[queue], slots=100)
    return leases.claim_next([queue], limit=limit, worker_id=worker.pk)


def end(*jobs: Job, how: How = How.DONE) -> None:
    ends = [
        Ended(
            job_id=job.pk, token=job.token, lane_id=job.lane_id, parent_id=job.parent_id, how=how, result={"text": ""}
        )
        for job in jobs
    ]
    assert settle(ends) == {job.pk for job in jobs}


def held_back() -> int:
    return Job.objects.exclude(held_back_by="").count()
