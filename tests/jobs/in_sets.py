"""Claiming and ending many jobs at once, as a worker does, under limits that are wide or that hold."""

from __future__ import annotations

from jobs import limits, queue_settings
from jobs.models import Job
from jobs.models_limits import Limit
from jobs.models_metrics import QueueSettings
from jobs.operations import leases
from jobs.operations.outcomes import Ended
from jobs.transport import Ticket


def claimed(jobs: list[Job]) -> list[Job]:
    """These, by a worker of their own."""
    worker = leases.register(name="w", queues=["system"], slots=100)
    return leases.claim([Ticket(job.pk, job.token) for job in jobs], worker_id=worker.pk)


def ends(jobs: list[Job]) -> list[Ended]:
    """Their results."""
    return [
        Ended(
            job_id=job.pk,
            token=job.token,
            lane_id=job.lane_id,
            parent_id=None,
            alone=job.scope_id is None and job.lane_id is None,
            result={"text": ""},
        )
        for job in jobs
    ]


def every_limit(most: int) -> None:
    """On the queue, and on both parts of a concurrency key."""
    QueueSettings.objects.create(queue="system", concurrency=most)
    Limit.objects.create(key="openai", concurrency=most)
    Limit.objects.create(key="openai/gpt-5", concurrency=most)
    queue_settings.forget()
    limits.in_force()
