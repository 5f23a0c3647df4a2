"""Handlers that run several jobs at once, and families of any depth that are called off."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from jobs import invariants
from jobs.models import Job, Wait
from jobs.models_events import JobEvent
from jobs.models_waits import WaitState
from jobs.operations import leases
from jobs.operations.controls import cancel
from jobs.operations.enqueue import enqueue
from jobs.operations.outcomes import Ended, How, settle
from jobs.scheduler.called_off import run_called_off
from jobs.states import Status
from jobs.testing import run_next, run_until_idle
from tests.jobs import durable
from tests.jobs.durable import CALLER, GATHERER, Wish
from tests.processes import Stack
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    durable.ran.clear()


def fresh(job: Job) -> Job:
    return Job.objects.get(pk=job.pk)


def statuses() -> list[str]:
    return list(Job.objects.order_by("pk").values_list("status", flat=True))


def test_several_jobs_run_and_their_results_come_in_order() -> None:
    job = enqueue(GATHERER, Wish(texts=["a", "b", "c"]), scope="test:1")
    run_next()
    assert [child.step for child in fresh(job).children.order_by("pk")] == ["parts.0", "parts.1", "parts.2"]
    run_next()
    assert fresh(job).status == Status.WAITING, "it waits for all of them"
    run_until_idle()
    assert fresh(job).result == ["A", "B", "C"]
    assert not invariants.broken()


def test_nothing_to_gather_is_nothing_to_wait_for() -> None:
    job = enqueue(GATHERER, Wish())
    run_next()
    assert (fresh(job).result, fresh(job).token) == ([], 1)


def test_the_handler_chooses_what_to_do_about_those_that_failed() -> None:
    job = enqueue(GATHERER, Wish(texts=["a", "bad", "c"]))
    run_until_idle()
    assert fresh(job).result == ["A", "failed: no_way", "C"]


def test_the_next_attempt_calls_those_again_that_failed_and_keeps_the_others() -> None:
    job = enqueue(GATHERER, Wish(texts=["a", "bad"], do="again"))
    run_until_idle()
    assert fresh(job).result == ["A", "failed: no_way"]
    assert durable.ran == ["a", "bad", "bad"]


def test_a_child_that_is_called_off_is_a_failure_for_the_parent_that_waits_for_it() -> None:
    job = enqueue(GATHERER, Wish(texts=["sleep", "b"]))
    run_until_idle()
    assert fresh(job).status == Status.WAITING
    cancel(job.children.get(step="parts.0").pk)
    run_until_idle()
    assert fresh(job).result == ["failed: cancelled", "B"]
    assert Wait.objects.get().state == WaitState.WITHDRAWN
    assert not invariants.broken()


def family(depth: int, **options: Any) -> Job:
    """A request with so many generations, of which the youngest sleeps."""
    job = enqueue(CALLER, Wish(texts=["x"] * (depth - 1)), **options)
    while run_next():
        pass
    assert statuses() == ["waiting"] * depth
    return job


def test_calling_off_reaches_every_generation_children_first() -> None:
    job = family(4, scope="test:1", ordering_key="lane:a")
    cancel(job.pk)
    assert statuses() == ["cancelled"] * 4
    ended = JobEvent.objects.filter(event="job.cancelled").order_by("id").values_list("job", flat=True)
    assert list(ended) == sorted(Job.objects.values_list("pk", flat=True), reverse=True)
    assert Wait.objects.get().state == WaitState.WITHDRAWN
    assert not invariants.broken()


def test_calling_off_a_middle_generation_ends_what_is_beneath_and_answers_what_is_above() -> None:
    job = family(4)
    cancel(job.children.get().pk)
    assert statuses() == ["queued", "cancelled", "cancelled", "cancelled"]
    run_until_idle()
    assert fresh(job).result == {"failed": "cancelled"}


def running_grandchild(**options: Any) -> tuple[Job, Job]:
    """A request of three generations in a lane, and its youngest, which a worker runs."""
    job = enqueue(CALLER, Wish(texts=["x", "x"]), scope="test:1", ordering_key="lane:a")
    run_next()
    run_next()
    worker = leases.register(name="a", queues=["system"], slots=1)
    (youngest,) = leases.claim_next(["system"], limit=1, worker_id=worker.pk)
    return job, youngest


def stopped(job: Job) -> Ended:
    return Ended(job_id=job.pk, token=job.token, lane_id=None, parent_id=job.parent_id, how=How.CANCELLED)


def test_a_family_in_a_lane_ends_when_the_youngest_has_stopped() -> None:
    job, youngest = running_grandchild()
    following = enqueue(GATHERER, Wish(), ordering_key="lane:a")
    cancel(job.pk)
    assert statuses() == ["waiting", "waiting", "running", "pending"]
    assert not invariants.broken()
    settle([stopped(youngest)])
    assert statuses() == ["cancelled", "cancelled", "cancelled", "queued"]
    assert fresh(following).status == Status.QUEUED
    assert not invariants.broken()


def test_a_family_whose_worker_died_after_the_youngest_had_stopped_ends_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job, youngest = running_grandchild()
    cancel(job.pk)
    with monkeypatch.context() as patched:
        patched.setattr("jobs.operations.controls.end_called_off", lambda root_id: None)
        settle([stopped(youngest)])
    assert statuses() == ["waiting", "waiting", "cancelled"]
    run_called_off()
    assert statuses() == ["cancelled"] * 3


def statements_to_gather(count: int) -> int:
    job = enqueue(GATHERER, Wish(texts=["x"] * count))
    with CaptureQueriesContext(connection) as captured:
        run_next()
    assert job.children.filter(ticketed=True).count() == count
    Job.objects.update(status="completed")
    return len(captured)


def test_hundreds_are_called_in_hardly_more_statements_than_a_few() -> None:
    assert statements_to_gather(200) < statements_to_gather(3) + 20, "SQLite takes a thousand parameters at once"


def test_too_many_at_once_are_refused(config: Callable[..., None]) -> None:
    config(bulk_jobs=2)
    job = enqueue(GATHERER, Wish(texts=["a", "b", "c"]))
    run_until_idle()
    error = fresh(job).error
    assert error is not None
    assert error["code"] == "too_many"


@pytest.mark.integration
def test_a_family_whose_youngest_runs_is_called_off_and_lets_the_next_in_its_lane_go(stack: Stack) -> None:
    job = enqueue(CALLER, Wish(do="network", texts=["x", "x"]), scope="test:1", ordering_key="lane:a")
    following = enqueue(GATHERER, Wish(texts=["a", "b"]), ordering_key="lane:a")
    stack.start("worker", "scheduler")
    wait_until(lambda: statuses()[:1] + statuses()[2:] == ["waiting", "waiting", "running"])
    cancel(job.pk)
    wait_until(lambda: fresh(following).ended)
    assert fresh(following).result == ["A", "B"]
    assert set(Job.objects.filter(type=CALLER.name).values_list("status", flat=True)) == {"cancelled"}
    assert not invariants.broken(liveness=False)
