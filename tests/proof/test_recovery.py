"""How soon a job goes on whose own process was killed, or whose worker was told to stop."""

from __future__ import annotations

import os
import signal
from datetime import datetime

import pytest
from django.utils import timezone

from chaos.herd import processes_of_jobs
from jobs.models import Job
from jobs.models_events import JobEvent
from jobs.operations.enqueue import enqueue, enqueue_many
from jobs.states import Status
from tests.jobs.kinds import ALONE, IO, SLEEP, Plan
from tests.processes import Stack
from tests.waiting import wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.django_db(transaction=True)]

CHILD_DEATH_SECONDS = 1.0
HAND_BACK_SECONDS = 2.0
GRACE_SECONDS = 0.3


def running(count: int = 1) -> bool:
    return Job.objects.filter(status=Status.RUNNING).count() == count


def seconds_until(event: str, since: datetime) -> list[float]:
    """For each job that it was told of since then."""
    told = JobEvent.objects.filter(event=event, at__gte=since).values_list("at", flat=True)
    return [(at - since).total_seconds() for at in told]


def test_a_job_whose_own_process_was_killed_runs_again_within_a_second(stack: Stack) -> None:
    stack.start("worker", BACKOFF_SECONDS="60")
    enqueue(ALONE, Plan(do="spin"))
    (child,) = wait_until(lambda: processes_of_jobs(stack.pid("worker")))
    killed_at = timezone.now()
    os.kill(child, signal.SIGKILL)
    wait_until(lambda: seconds_until("job.started", killed_at))
    assert max(seconds_until("job.started", killed_at)) < CHILD_DEATH_SECONDS
    assert Job.objects.get().strikes == 1


def test_what_a_stopped_worker_had_not_finished_can_be_claimed_again_within_two_seconds(stack: Stack) -> None:
    stack.start("worker", SHUTDOWN_SECONDS=str(GRACE_SECONDS))
    enqueue_many(IO, [Plan(seconds=60)] * 30)
    enqueue(SLEEP, Plan(seconds=20))
    enqueue(ALONE, Plan(do="spin"))
    wait_until(lambda: running(32) and processes_of_jobs(stack.pid("worker")))
    stopped_at = timezone.now()
    os.killpg(stack.pid("worker"), signal.SIGTERM)  # as a supervisor does: the worker and all that it started
    wait_until(lambda: Job.objects.filter(status=Status.QUEUED).count() == 32)
    assert max(seconds_until("job.released", stopped_at)) < GRACE_SECONDS + HAND_BACK_SECONDS
    assert not Job.objects.exclude(strikes=0, lease_losses=0, attempt=1).exists(), "it has cost them nothing"
