"""Jobs that crash, spin, swallow or eat memory: what they harm, and what becomes of them."""

from __future__ import annotations

import pytest

from jobs.models import Job, Worker
from jobs.operations.controls import cancel
from jobs.operations.enqueue import enqueue
from jobs.registry import JobType
from jobs.states import Status
from tests.jobs.kinds import ALONE, ECHO, HURRIED, STUCK, Plan
from tests.processes import Stack
from tests.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]


def fresh(job: Job) -> Job:
    return Job.objects.get(pk=job.pk)


def end_of(job: Job, timeout: float = 60) -> Job:
    """The job once it has ended."""
    wait_until(lambda: fresh(job).ended, timeout=timeout)
    return fresh(job)


def code(job: Job) -> str:
    return str((job.error or {}).get("code"))


def test_an_isolated_job_runs_in_a_process_of_its_own(stack: Stack) -> None:
    stack.start("worker")
    job = enqueue(ALONE, Plan())
    step = enqueue(ALONE, Plan(do="step"))
    done = end_of(job)
    assert done.status == Status.COMPLETED
    assert done.result != stack.pid("worker")
    assert end_of(step).result == "one"


@pytest.mark.parametrize("end", ["kill", "leave"])
def test_a_job_that_ends_its_process_is_poison_and_its_neighbours_live(stack: Stack, end: str) -> None:
    stack.start("worker", "scheduler")
    job = enqueue(ALONE, Plan(do=end))
    neighbour = enqueue(ECHO, Plan(text="x"))
    dead = end_of(job)
    assert (dead.status, code(dead), dead.strikes, dead.attempt) == (Status.DEAD, "poison", 3, 1)
    assert fresh(neighbour).status == Status.COMPLETED


@pytest.mark.parametrize(("kind", "do", "why"), [(HURRIED, "spin", "timeout"), (ALONE, "memory", "internal_error")])
def test_a_job_that_spins_and_swallows_or_eats_memory_is_stopped(
    stack: Stack, kind: JobType, do: str, why: str
) -> None:
    stack.start("worker", "scheduler", ISOLATED_MEMORY_MB="2048")
    dead = end_of(enqueue(kind, Plan(do=do)), timeout=40)
    assert (dead.status, code(dead)) == (Status.DEAD, why)


def test_an_isolated_job_is_killed_when_it_is_called_off(stack: Stack) -> None:
    stack.start("worker")
    job = enqueue(ALONE, Plan(do="spin"))
    wait_until(lambda: fresh(job).status == Status.RUNNING)
    cancel(job.pk)
    assert end_of(job).status == Status.CANCELLED


def test_a_job_that_was_there_when_workers_died_runs_alone_and_is_found_innocent(stack: Stack) -> None:
    stack.start("worker", "scheduler")
    job = enqueue(ECHO, Plan(text="x"))
    end_of(job)
    suspect = enqueue(ECHO, Plan(text="y"))
    Job.objects.filter(pk=suspect.pk).update(lease_losses=5)
    assert end_of(suspect).status == Status.COMPLETED


def test_a_stuck_thread_fails_its_job_and_its_slot_is_reported_lost(stack: Stack) -> None:
    stack.start("worker")
    job = enqueue(STUCK, Plan(do="sleep", seconds=4))
    dead = end_of(job)
    assert (dead.status, code(dead)) == (Status.DEAD, "timeout")
    wait_until(lambda: Worker.objects.filter(lost_slots=1).exists())
    wait_until(lambda: Worker.objects.filter(lost_slots=0).exists())
    after = enqueue(ECHO, Plan(text="x"))
    assert end_of(after).status == Status.COMPLETED


def test_a_spinning_thread_fails_its_job_and_the_other_slots_go_on(stack: Stack) -> None:
    stack.start("worker")
    job = enqueue(STUCK, Plan(do="spin"))
    dead = end_of(job)
    assert (dead.status, code(dead)) == (Status.DEAD, "timeout")
    wait_until(lambda: Worker.objects.filter(lost_slots=1).exists())
    assert end_of(enqueue(ECHO, Plan(text="x"))).status == Status.COMPLETED
