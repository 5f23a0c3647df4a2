"""Calling jobs off in every status, and running dead ones again."""

from __future__ import annotations

import pytest

from jobs.errors import Conflict
from jobs.models import Job
from jobs.models_events import JobEvent
from jobs.operations import leases
from jobs.operations.controls import cancel, revive
from jobs.operations.enqueue import enqueue
from jobs.operations.outcomes import Ended, How, settle
from jobs.states import Status
from jobs.testing import run_next, run_until_idle
from tests.jobs import kinds
from tests.jobs.kinds import ECHO, FAIL, IO, PARENT, Plan
from tests.processes import Stack
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    kinds.ran.clear()


def fresh(job: Job) -> Job:
    return Job.objects.get(pk=job.pk)


def told(job: Job) -> list[str]:
    return list(JobEvent.objects.filter(scope=job.scope).order_by("seq").values_list("event", flat=True))


def test_a_queued_job_is_called_off_at_once_and_lets_the_next_in_its_lane_go() -> None:
    first = enqueue(ECHO, Plan(), ordering_key="lane:a", scope="test:1")
    second = enqueue(ECHO, Plan(), ordering_key="lane:a")
    assert cancel(first.pk).status == Status.CANCELLED
    assert fresh(second).status == Status.QUEUED
    assert told(first) == ["request.queued", "request.cancelled"]


def test_a_waiting_job_is_called_off_after_its_child() -> None:
    parent = enqueue(PARENT, Plan(), scope="test:1")
    run_next()
    child = parent.children.get()
    cancel(parent.pk)
    assert (fresh(parent).status, fresh(child).status) == (Status.CANCELLED, Status.CANCELLED)
    ended = JobEvent.objects.filter(event="job.cancelled").order_by("id").values_list("job", flat=True)
    assert list(ended) == [child.pk, parent.pk]
    run_until_idle()
    assert kinds.ran == ["parent"]


def test_a_parent_whose_child_runs_ends_when_the_child_has_stopped() -> None:
    parent = enqueue(PARENT, Plan(), scope="test:1")
    run_next()
    worker = leases.register(name="a", queues=["llm"], slots=1)
    (child,) = leases.claim_next(["llm"], limit=1, worker_id=worker.pk)
    cancel(parent.pk)
    assert fresh(parent).status == Status.WAITING
    assert leases.called_off(worker.pk) == {child.pk}
    settle([Ended(job_id=child.pk, token=child.token, lane_id=None, parent_id=parent.pk, how=How.CANCELLED)])
    assert (fresh(child).status, fresh(parent).status) == (Status.CANCELLED, Status.CANCELLED)


def test_an_end_that_was_stored_first_wins() -> None:
    job = enqueue(ECHO, Plan())
    run_until_idle()
    with pytest.raises(Conflict, match="completed"):
        cancel(job.pk)


def test_a_failed_attempt_of_a_job_that_was_called_off_is_its_last() -> None:
    job = enqueue(FAIL, Plan())
    worker = leases.register(name="a", queues=["system"], slots=1)
    (claimed,) = leases.claim_next(["system"], limit=1, worker_id=worker.pk)
    cancel(job.pk)
    error = {"code": "x", "detail": "y"}
    settle([Ended(job_id=job.pk, token=claimed.token, lane_id=None, parent_id=None, how=How.FAILED, error=error)])
    assert fresh(job).status == Status.CANCELLED


def test_a_dead_request_runs_again_as_its_next_run_at_its_lanes_tail() -> None:
    job = enqueue(FAIL, Plan(do="permanent"), ordering_key="lane:a", scope="test:1")
    run_until_idle()
    other = enqueue(ECHO, Plan(text="other"), ordering_key="lane:a")
    Job.objects.filter(pk=job.pk).update(payload=Plan(do="recover").model_dump())
    assert revive(job.pk).status == Status.PENDING
    run_until_idle()
    job = fresh(job)
    assert (job.status, job.run, job.result, job.attempt) == (Status.COMPLETED, 2, "recovered", 2)
    assert kinds.ran == ["attempt 1", "other", "attempt 1", "attempt 2"]
    assert told(job) == [
        "request.queued",
        "request.processing",
        "request.failed",
        "request.queued",
        "request.processing",
        "request.completed",
    ]
    with pytest.raises(Conflict, match="only a request that failed"):
        revive(other.pk)


@pytest.mark.integration
def test_a_running_job_is_interrupted_where_it_waits_for_the_network(stack: Stack) -> None:
    stack.start("worker")
    job = enqueue(IO, Plan(seconds=60), scope="test:1")
    wait_until(lambda: fresh(job).status == Status.RUNNING)
    cancel(job.pk)
    wait_until(lambda: fresh(job).status == Status.CANCELLED)
    assert told(job) == ["request.queued", "request.processing", "request.cancelled"]
