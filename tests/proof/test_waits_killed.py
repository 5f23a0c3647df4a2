"""A handler with every wait, killed with -9 at each of them: it goes on, and its effect comes once."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models.functions import Now
from django.test import Client

from jobs import invariants
from jobs.models import Job, Wait
from jobs.models_steps import JobLog, JobStep
from jobs.operations import callbacks
from jobs.operations.enqueue import enqueue
from tests.jobs.durable import EVERYTHING, Wish
from tests.processes import Stack
from tests.proof import FULL
from tests.waiting import wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.django_db(transaction=True)]

WORKER = [
    "in_mint",
    "after_wait:third",
    "in_call",
    "after_wait:called",
    "after_wait:parts",
    "in_wait",
    "after_wait:nap",
    "after_wait:third.answer",
    "in_commit:effect",
]
PLACES = [("worker", where) for where in (WORKER if FULL else ["in_mint", "in_wait"])] + [("scheduler", "in_wake")]


def answered(job: Job) -> None:
    """The callback comes as soon as its token exists."""
    minted = JobStep.objects.filter(job=job, name="third")
    wait_until(minted.exists, timeout=60)
    token = callbacks.token_of(job, minted.get())
    assert Client().post(callbacks.path(token), '"three"', content_type="application/json").status_code == 200


def a_day_passes(job: Job) -> None:
    asleep = Wait.objects.filter(job=job, name="nap", state="open")
    wait_until(asleep.exists, timeout=60)
    asleep.update(due_at=Now() - timedelta(seconds=1))


@pytest.mark.parametrize(("process", "where"), PLACES)
def test_a_process_killed_at_a_wait_changes_nothing(stack: Stack, process: str, where: str) -> None:
    others = {"worker": "scheduler", "scheduler": "worker"}
    stack.start(others[process], LEASE_SECONDS="0.8", HEARTBEAT_SECONDS="0.2", TICK_SECONDS="0.05")
    stack.start(process, FAILPOINTS=f"{where}=exit")
    job = enqueue(EVERYTHING, Wish())
    early = where not in ("in_mint", "after_wait:third")
    late_place = where in ("in_wake", "after_wait:third.answer", "in_commit:effect")
    if early:
        answered(job)
    if late_place:
        a_day_passes(job)
    assert stack.wait(process) == 9
    stack.start(process, FAILPOINTS="")
    if not early:
        answered(job)
    if not late_place:
        a_day_passes(job)
    wait_until(lambda: Job.objects.filter(pk=job.pk, status="completed").exists(), timeout=60)
    job.refresh_from_db()
    assert job.result == ["one", "two", "three", "CALLED", ["A", "B"]]
    assert JobLog.objects.filter(text="effect").count() == 1
    assert (job.attempt, job.children.count()) == (1, 3)
    assert not invariants.broken(liveness=False)
