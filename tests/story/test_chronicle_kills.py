"""A chapter of the chronicle with real processes: kill -9 at each step, and the same chapter comes out, once."""

from __future__ import annotations

import pytest

from games.jobtypes import CHRONICLE
from games.models import Chapter
from jobs import invariants
from jobs.models import Job
from jobs.models_workflows import Confirmation
from jobs.operations.confirmations import confirm
from jobs.operations.workflows import start
from tests.cast import Cast
from tests.games.test_chronicle import TRACE, play, told
from tests.processes import Stack
from tests.proof import share
from tests.waiting import wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.django_db(transaction=True)]

QUICK = {"LEASE_SECONDS": "0.8", "HEARTBEAT_SECONDS": "0.2", "TICK_SECONDS": "0.05"}
BEFORE = [
    "in_begin:gather",
    "before_step:gather",
    "in_step:gather",
    "after_step:gather",
    "in_begin:outline",
    "in_call",
    "after_wait:outline",
    "in_settle",
    "in_begin:write",
    "after_wait:write",
    "in_begin:confirm",
    "after_begin:confirm",
    "in_wait",
    "after_wait:confirm.1.word",
]
AFTER = [
    "after_claim",
    "in_begin:publish",
    "before_commit:publish",
    "in_commit:publish",
    "after_commit:publish",
    "in_settle",
]


def asked(job: Job) -> bool:
    return Confirmation.objects.filter(job=job, job__status="waiting").exists()


def done(job: Job) -> bool:
    return Job.objects.filter(pk=job.pk, status="completed").exists()


def assert_told_once(job: Job) -> None:
    assert told(job) == TRACE
    assert Chapter.objects.count() == 1
    assert invariants.broken() == {}


@pytest.mark.parametrize("where", share(BEFORE, of=5))
def test_a_worker_killed_on_the_way_to_the_confirmation_changes_nothing(stack: Stack, cast: Cast, where: str) -> None:
    play(cast)
    stack.start("scheduler", **QUICK)
    stack.start("worker", FAILPOINTS=f"{where}=exit")
    job = start(CHRONICLE.name, {}, user=cast.dm, scope=cast.game.scope_key)
    assert stack.wait("worker") == 9
    stack.start("worker", FAILPOINTS="")
    wait_until(lambda: asked(job), timeout=60)
    confirm(user=cast.dm, request_id=job.public_id, text="done")
    wait_until(lambda: done(job), timeout=60)
    assert_told_once(job)


@pytest.mark.parametrize("where", share(AFTER, of=3))
def test_a_worker_killed_on_the_way_to_the_end_changes_nothing(stack: Stack, cast: Cast, where: str) -> None:
    play(cast)
    stack.start("scheduler", "worker", **QUICK)
    job = start(CHRONICLE.name, {}, user=cast.dm, scope=cast.game.scope_key)
    wait_until(lambda: asked(job), timeout=60)
    stack.stop("worker")
    stack.start("worker", FAILPOINTS=f"{where}=exit")
    confirm(user=cast.dm, request_id=job.public_id)
    assert stack.wait("worker") == 9
    stack.start("worker", FAILPOINTS="")
    wait_until(lambda: done(job), timeout=60)
    assert_told_once(job)
