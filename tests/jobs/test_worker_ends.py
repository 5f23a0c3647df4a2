"""Workers that end by themselves, and what a worker that doesn't keeps in memory."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from jobs.models import Job, Worker
from jobs.operations.enqueue import enqueue, enqueue_many
from jobs.states import Status
from tests.jobs.kinds import ECHO, PARENT, SLEEP, Plan
from tests.processes import Stack
from tests.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

MEGABYTE = 1 << 20
GROWTH_PER_THOUSAND_JOBS = 1.5 * MEGABYTE
"""Far below what a job takes up: one whose payload was kept would be four times that."""


def completed() -> int:
    return Job.objects.filter(status=Status.COMPLETED).count()


def memory(pid: int) -> int:
    """What the process holds in memory, in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def test_a_burst_ends_when_nothing_is_queued_any_more(stack: Stack) -> None:
    enqueue(PARENT, Plan(text="hi"))
    enqueue_many(ECHO, [Plan(text="x")] * 50)
    enqueue(SLEEP, Plan(seconds=0.5))
    later = enqueue(ECHO, Plan(text="later"), delay=timedelta(hours=1))
    stack.start("worker", arguments=["--burst"])
    assert stack.wait("worker") == 0
    assert completed() == 53, "with the child that the parent called"
    assert Job.objects.exclude(status=Status.COMPLETED).get() == later


def test_a_worker_with_max_jobs_takes_no_more_and_finishes_what_it_took(stack: Stack) -> None:
    enqueue_many(SLEEP, [Plan(seconds=0.5)] * 9)
    stack.start("worker", arguments=["--max-jobs", "4", "--concurrency", "3"])
    assert stack.wait("worker") == 0
    assert completed() == 4
    assert Job.objects.filter(status=Status.QUEUED, token=0).count() == 5
    assert not Worker.objects.filter(jobs__isnull=False).exists()


@pytest.mark.parametrize("wrong", [["--max-jobs", "0"], ["--concurrency", "0"], ["--queues", "nowhere"]])
def test_a_worker_that_could_do_nothing_does_not_start(wrong: list[str]) -> None:
    with pytest.raises(CommandError):
        call_command("worker", *wrong)


def test_a_workers_memory_stays_flat(stack: Stack) -> None:
    stack.start("worker", arguments=["--concurrency", "50"], DEBUG="0", SECRET_KEY="s" * 40)

    def after(count: int) -> int:
        enqueue_many(SLEEP, [Plan(text="x" * 4000)] * count)
        wait_until(lambda: Job.objects.open().count() == 0, timeout=120)
        return memory(stack.pid("worker"))

    held = [after(1000) for _ in range(5)]
    growth = [later - before for before, later in pairwise(held)]
    assert min(growth) < GROWTH_PER_THOUSAND_JOBS, growth  # What is kept is kept each time; threads come up once.
