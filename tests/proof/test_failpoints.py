"""Every step of a job and every way to fail there, with real processes; all ends well and the invariants hold."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db.models.functions import Now

from jobs import invariants, sql
from jobs.models import Job, Worker
from jobs.models_steps import JobLog, JobStep
from jobs.operations.enqueue import enqueue
from jobs.states import FINAL
from tests.processes import Stack
from tests.proof import FULL
from tests.proof.kinds import WHOLE, Plan
from tests.waiting import wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.django_db(transaction=True)]

ENVIRONMENT = {
    "DJANGO_SETTINGS_MODULE": "tests.proof.settings",
    "LEASE_SECONDS": "0.8",
    "HEARTBEAT_SECONDS": "0.2",
    "TICK_SECONDS": "0.05",
}
CLAIMING = ["after_pop", "in_claim", "after_claim"]
HANDLING = [
    "before_step:one",
    "in_step:one",
    "after_step:one",
    "before_io:two",
    "after_io:two",
    "in_step:two",
    "before_commit:three",
    "in_commit:three",
    "after_commit:three",
    "in_call",
    "after_wait:four",
]
ENDING = ["in_settle", "after_settle"]
EVERYWHERE = CLAIMING + HANDLING + ENDING
TRANSACTIONS = [step for step in EVERYWHERE if step.startswith("in_")]
OUTSIDE = [step for step in EVERYWHERE if not step.startswith("in_")]

SLICES = {
    "exit": EVERYWHERE if FULL else ["in_step:two", "in_call"],
    "raise": HANDLING if FULL else ["after_io:two", "in_commit:three"],
    "unsure": TRANSACTIONS if FULL else ["in_claim", "in_commit:three", "in_settle"],
    "stop": EVERYWHERE if FULL else ["after_claim", "in_commit:three", "in_settle"],
}


@pytest.fixture
def jobs(stack: Stack) -> Iterator[list[Job]]:
    """A request with every kind of step, and one behind it in its lane; at the end both are done, once, in order."""
    asked = [enqueue(WHOLE, Plan(text=text), scope="test:1", ordering_key="lane:a") for text in ("first", "second")]
    yield asked
    stack.start("worker.last", UNSURE="", STOP="", FAILPOINTS="")
    wait_until(all_ended, timeout=25)
    assert [Job.objects.get(pk=job.pk).result for job in asked] == ["FIRST", "SECOND"]
    effects = list(JobLog.objects.order_by("id").values_list("job", "text"))
    assert effects == [(asked[0].pk, "effect"), (asked[1].pk, "effect")]
    assert invariants.broken() == {}


def all_ended() -> bool:
    return not Job.objects.exclude(status__in=FINAL).exists()


def passed(job: Job, step: str) -> bool:
    return JobStep.objects.filter(job=job, name=step).exists()


def started(stack: Stack, **environment: str) -> None:
    """What fails, fails in the worker: a scheduler has one too."""
    stack.start("scheduler", **ENVIRONMENT)
    stack.start("worker", **environment)


def is_stopped(pid: int) -> bool:
    """By the third field of its line: T, stopped by a signal."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def lease_ran_out(pid: int) -> bool:
    return Worker.objects.filter(name__endswith=f".{pid}", lease_until__lt=Now()).exists()


@pytest.mark.parametrize("where", SLICES["exit"])
def test_a_process_dies_there(stack: Stack, jobs: list[Job], where: str) -> None:
    started(stack, FAILPOINTS=f"{where}=exit")
    assert stack.wait("worker") == 9


@pytest.mark.parametrize("where", SLICES["raise"])
def test_a_handler_fails_there_and_is_tried_again(stack: Stack, jobs: list[Job], where: str) -> None:
    started(stack, FAILPOINTS=f"{where}=raise@1")
    wait_until(lambda: Job.objects.filter(attempt=2).exists() or all_ended(), timeout=60)


@pytest.mark.parametrize("where", SLICES["unsure"])
def test_a_commit_succeeds_there_and_nobody_is_told(stack: Stack, jobs: list[Job], where: str) -> None:
    started(stack, UNSURE=where)
    wait_until(all_ended, timeout=60, what="the jobs ended without another worker")


@pytest.mark.parametrize("where", SLICES["stop"])
def test_a_process_is_paused_there_beyond_its_lease(stack: Stack, jobs: list[Job], where: str) -> None:
    started(stack, STOP=where, DATABASE_IDLE_SECONDS="2")
    pid = stack.pid("worker")
    wait_until(lambda: is_stopped(pid), timeout=60)
    wait_until(lambda: lease_ran_out(pid))
    if where in OUTSIDE or sql.on_postgresql():  # In SQLite a transaction that stands still holds everybody up.
        stack.start("worker.2", STOP="")
        wait_until(lambda: all_ended() or where == "after_pop", timeout=60)
    os.kill(pid, signal.SIGCONT)
