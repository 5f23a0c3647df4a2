"""Workflows in real worker processes, some of which are killed."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from functools import partial
from random import Random
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError

from jobs import invariants
from jobs.models import Job
from jobs.models_events import JobEvent
from jobs.models_steps import JobLog, JobStep
from jobs.models_workflows import Confirmation
from jobs.operations.confirmations import confirm
from jobs.operations.workflows import start
from jobs.states import FINAL
from tests.cast import Cast
from tests.processes import Stack
from tests.proof import FULL
from tests.waiting import wait_until
from tests.workflows.kinds import MANY, SLOW

pytestmark = [pytest.mark.chaos, pytest.mark.django_db(transaction=True)]

ENVIRONMENT = {
    "DJANGO_SETTINGS_MODULE": "tests.workflows.settings",
    "LEASE_SECONDS": "3" if FULL else "1",
    "HEARTBEAT_SECONDS": "0.25",
    "WORKER_CONCURRENCY": "10",
    "TICK_SECONDS": "0.05",
    "STEP_PROGRESS_SECONDS": "0.05",
}
WORKFLOWS, KILLS, WORKERS = (1000, 20, 3) if FULL else (40, 3, 2)
SECONDS = 600 if FULL else 120
TRACE = [
    "request.queued",
    "request.processing",
    "workflow.step.started one",
    "workflow.step.completed one",
    "workflow.step.started two",
    "workflow.step.completed two",
    "workflow.step.started three",
    "workflow.step.completed three",
    "workflow.step.started four",
    "workflow.step.progress four",
    "workflow.step.progress four",
    "workflow.step.completed four",
    "workflow.step.started five",
    "workflow.step.completed five",
    "request.completed",
]


def all_ended() -> bool:
    return not Job.objects.exclude(status__in=FINAL).exists()


def confirm_what_waits(user: User) -> bool:
    """Click on all that asks; whether everything has ended."""
    asked = Confirmation.objects.filter(state="open", job__status="waiting")
    for public_id in asked.values_list("job__public_id", flat=True)[:50]:
        with suppress(OperationalError):  # SQLite is busy for too long at times: a click is simply made again
            confirm(user=user, request_id=public_id, step="four", version=1)
    return all_ended()


def confirm_until(user: User, steps: int) -> bool:
    """Whether so many steps are done, or all."""
    return confirm_what_waits(user) or JobStep.objects.count() >= steps


def traces() -> dict[UUID, list[str]]:
    found: dict[UUID, list[str]] = {}
    for request, event, data in (
        JobEvent.objects.filter(seq__isnull=False).order_by("seq").values_list("request", "event", "data")
    ):
        assert request is not None
        found.setdefault(request, []).append(" ".join(filter(None, [event, (data or {}).get("step", "")])))
    return found


def test_workers_are_killed_and_each_step_happens_once(stack: Stack, cast: Cast) -> None:
    random = Random(7)
    workers = [f"worker.{number}" for number in range(WORKERS)]
    stack.start("scheduler", *workers, **ENVIRONMENT)
    jobs = [start(MANY.name, {"text": str(number)}, user=cast.player1) for number in range(WORKFLOWS)]
    for kill in range(KILLS):
        goal = WORKFLOWS * 7 * (kill + 1) // (KILLS + 1)
        wait_until(partial(confirm_until, cast.player1, goal), timeout=SECONDS)
        victim = random.choice(workers)
        stack.kill9(victim)
        stack.start(victim)
    wait_until(lambda: confirm_what_waits(cast.player1), timeout=SECONDS)
    assert Counter(JobLog.objects.values_list("text", flat=True)) == {
        "one": WORKFLOWS,
        "three": WORKFLOWS,
        "five": WORKFLOWS,
    }
    assert JobLog.objects.filter(job__root=None).values("job", "text").distinct().count() == 2 * WORKFLOWS
    found = traces()
    assert len(found) == WORKFLOWS
    assert [found[job.public_id] for job in jobs] == [TRACE] * WORKFLOWS
    assert invariants.broken() == {}


def test_a_step_tells_how_far_it_is(stack: Stack, cast: Cast) -> None:
    stack.start("worker", **ENVIRONMENT)
    job = start(SLOW.name, {}, user=cast.player1)
    wait_until(all_ended, timeout=60)
    events = JobEvent.objects.filter(request=job.public_id, event="workflow.step.progress").order_by("seq")
    told = [(event.data["percentage"], event.data["message"]) for event in events if event.data]
    assert told
    assert told == sorted(told, key=lambda at: at[0])
    assert all(25 < percentage <= 100 and message.endswith(" of 10") for percentage, message in told)
