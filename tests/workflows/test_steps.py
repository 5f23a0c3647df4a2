"""Declared steps: what is told of each, once, whatever fails or is killed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, transaction

from jobs import invariants
from jobs.models import Job, Scope
from jobs.models_events import JobEvent
from jobs.models_steps import JobLog
from jobs.models_workflows import WorkflowStep
from jobs.operations.workflow_steps import progress
from jobs.operations.workflows import start
from jobs.testing import run_next, run_next_killed, run_until_idle
from jobs.workflows import Automation
from tests.cast import Cast
from tests.workflows import kinds

pytestmark = pytest.mark.django_db(transaction=True)

WHOLE = [
    ("request.queued", None, None),
    ("request.processing", None, None),
    ("workflow.step.started", "read", 0),
    ("workflow.step.completed", "read", 10),
    ("workflow.step.started", "fetch", 10),
    ("workflow.step.completed", "fetch", 30),
    ("workflow.step.started", "ask", 30),
    ("workflow.step.completed", "ask", 40),
    ("workflow.step.started", "check", 40),
    ("workflow.step.completed", "check", 50),
    ("workflow.step.started", "write", 50),
    ("workflow.step.completed", "write", 100),
    ("request.completed", None, None),
]


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    kinds.ran.clear()


def told(job: Job) -> list[tuple[str, Any, Any]]:
    """The numbered events of the request: name, step, percentage."""
    rows = JobEvent.objects.filter(request=job.public_id).order_by("seq").values_list("event", "data")
    return [(event, (data or {}).get("step"), (data or {}).get("percentage")) for event, data in rows]


def test_each_step_is_told_with_its_share_of_the_whole(cast: Cast) -> None:
    job = start("test_five", {"text": "a"}, user=cast.player1, automation=Automation.FULL)
    run_until_idle()
    job.refresh_from_db()
    assert (job.status, job.result) == ("completed", "A")
    assert told(job) == WHOLE
    assert job.scope is not None
    assert job.scope.key == f"user:{cast.player1.pk}"
    assert invariants.broken() == {}


def test_a_worker_killed_after_every_step_changes_nothing(cast: Cast) -> None:
    job = start("test_five", {"text": "a"}, user=cast.player1, automation=Automation.FULL)
    for _ in range(30):
        if run_next_killed() is None:
            break
    job.refresh_from_db()
    assert job.status == "completed"
    assert told(job) == WHOLE
    assert list(JobLog.objects.values_list("text", flat=True)) == ["wrote A"]


def test_a_failed_attempt_is_told_in_its_step_and_the_next_does_not_start_it_again(cast: Cast) -> None:
    job = start("test_five", {"text": "a", "fail": "once"}, user=cast.player1, automation=Automation.FULL)
    run_until_idle()
    first, second, started, *rest = WHOLE
    assert told(job) == [first, second, started, ("workflow.step.failed", "read", 0), *rest]


def test_a_step_that_ends_the_request_is_told_before_the_end(cast: Cast) -> None:
    job = start("test_five", {"text": "a", "fail": "read"}, user=cast.player1, automation=Automation.FULL)
    run_until_idle()
    assert told(job)[-2:] == [("workflow.step.failed", "read", 0), ("request.failed", None, None)]
    failed = JobEvent.objects.get(event="workflow.step.failed")
    assert failed.data == {
        "step": "read",
        "title": "Read",
        "index": 1,
        "total": 5,
        "percentage": 0,
        "message": "it can't be read",
    }


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no locks on rows")
def test_progress_waits_for_nobody_who_holds_the_stream(cast: Cast) -> None:
    job = start("test_five", {}, user=cast.player1)
    run_next()
    run_next()
    job.refresh_from_db()
    WorkflowStep.objects.create(job=job, name="check")
    Job.objects.filter(pk=job.pk).update(status="running")
    told_before = JobEvent.objects.count()

    def report() -> bool:
        try:
            return progress(job.pk, job.token, name="check", percent=50, message="half")
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as other:
        with transaction.atomic():
            assert Scope.objects.select_for_update().get(jobs=job)
            assert other.submit(report).result(timeout=10) is False
        assert other.submit(report).result(timeout=10) is True
    assert JobEvent.objects.count() == told_before + 1
