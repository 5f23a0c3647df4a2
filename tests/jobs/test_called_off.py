"""What was called off stays called off, whoever dies or stops before the handler was told."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from jobs import invariants
from jobs.models import Job, Worker
from jobs.operations import leases, transitions
from jobs.operations.controls import cancel
from jobs.operations.enqueue import enqueue
from jobs.operations.leases import hand_back, rescue, resign
from jobs.states import Status
from jobs.testing import run_next, run_until_idle
from tests.jobs.kinds import ECHO, PARENT, Plan

pytestmark = pytest.mark.django_db(transaction=True)


def claimed(job: Job) -> tuple[Worker, Job]:
    worker = leases.register(name="a", queues=[job.queue], slots=5)
    return worker, next(each for each in leases.claim_next([job.queue], limit=5, worker_id=worker.pk) if each == job)


def died(worker: Worker, job: Job) -> None:
    resign(worker.pk)
    assert rescue() == [job.pk]


def stopped(_: Worker, job: Job) -> None:
    assert hand_back([(job.pk, job.token)]) == [job.pk]


def status(job: Job) -> Status:
    return Status(Job.objects.get(pk=job.pk).status)


@pytest.mark.parametrize("goes", [died, stopped])
@pytest.mark.parametrize("lane", ["", "lane:a"])
def test_a_job_that_ran_ends_with_its_worker(goes: Callable[[Worker, Job], None], lane: str) -> None:
    job = enqueue(ECHO, Plan(), scope="test:1", ordering_key=lane)
    behind = enqueue(ECHO, Plan(), scope="test:1", ordering_key=lane, depends_on=[] if lane else [job])
    worker, running = claimed(job)
    cancel(job.pk)
    assert status(job) == Status.RUNNING
    goes(worker, running)
    assert status(job) == Status.CANCELLED
    run_until_idle()
    assert status(behind) == (Status.COMPLETED if lane else Status.CANCELLED)
    assert invariants.broken(liveness=False) == {}


@pytest.mark.parametrize("goes", [died, stopped])
def test_with_a_child_that_ran_ends_the_request(goes: Callable[[Worker, Job], None]) -> None:
    request = enqueue(PARENT, Plan(), scope="test:1")
    run_next()
    child = Job.objects.get(parent=request)
    worker, running = claimed(child)
    cancel(request.pk)
    assert (status(request), status(child)) == (Status.WAITING, Status.RUNNING)
    goes(worker, running)
    assert (status(request), status(child)) == (Status.CANCELLED, Status.CANCELLED)
    assert invariants.broken(liveness=False) == {}


def test_called_off_just_now_it_is_left_until_the_next_look(monkeypatch: pytest.MonkeyPatch) -> None:
    job = enqueue(ECHO, Plan(), ordering_key="lane:a")
    worker, _ = claimed(job)
    resign(worker.pk)

    def late(*ids: object, **how: object) -> dict[int, Job]:
        Job.objects.filter(pk=job.pk).update(cancel_requested_at="2026-01-01T00:00:00Z")
        return transitions.lock(*ids, **how)  # type: ignore[arg-type]

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(leases, "lock", late)
        assert rescue() == []
    assert status(job) == Status.RUNNING
    assert rescue() == [job.pk]
    assert status(job) == Status.CANCELLED
