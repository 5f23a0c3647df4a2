"""The golden trace with real processes: kill -9 before, in and after every step, and exactly the same comes out."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from approvals.models import Approval, ApprovalDecision, ApprovalVersion
from approvals.operations import decide
from games.models import Game, Turn
from games.operations import act
from jobs.models import Job
from jobs.models_events import JobEvent
from jobs.models_steps import JobStep
from tests.cast import Cast
from tests.processes import Stack
from tests.proof import share
from tests.waiting import wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.django_db(transaction=True)]

TRACE = [
    "request.queued",
    "request.processing",
    "llm.processing",
    "approval.required",
    "approval.decided",
    "game.state_updated",
    "request.completed",
]
QUICK = {"LEASE_SECONDS": "0.8", "HEARTBEAT_SECONDS": "0.2", "TICK_SECONDS": "0.05"}
BEFORE_THE_DECISION = [
    "after_pop",
    "in_claim",
    "after_claim",
    "before_step:scene.1",
    "in_step:scene.1",
    "after_step:scene.1",
    "in_call",
    "after_wait:draft.1",
    "before_io:complete",
    "after_io:complete",
    "in_step:complete",
    "after_step:complete",
    "in_settle",
    "after_settle",
    "in_decide",
    "after_wait:ruling.1",
]
AFTER_THE_DECISION = ["before_commit:apply.1", "in_commit:apply.1", "after_commit:apply.1", "in_settle", "after_settle"]


def told(game: Game) -> list[str]:
    events = JobEvent.objects.filter(scope__key=game.scope_key).order_by("seq")
    assert list(events.values_list("seq", flat=True)) == list(range(1, len(events) + 1))
    return [event.event for event in events]


def asked(job: Job) -> bool:
    return Approval.objects.filter(job=job, status="pending").exists()


def done(job: Job) -> bool:
    return Job.objects.filter(pk=job.pk, status="completed").exists()


def accept(user: User, job: Job) -> None:
    approval = Approval.objects.get(job=job)
    decide(user=user, approval_id=approval.pk, version=approval.version, decision="accept")


def assert_nothing_happened_twice(cast: Cast, job: Job) -> None:
    assert told(cast.game) == TRACE
    assert Turn.objects.filter(game=cast.game).count() == 1
    assert ApprovalVersion.objects.count() == ApprovalDecision.objects.count() == 1
    names = list(JobStep.objects.filter(job=job).order_by("id").values_list("name", flat=True))
    assert names == ["scene.1", "draft.1", "ruling.1", "apply.1"]
    job.refresh_from_db()
    assert (job.attempt, Job.objects.count()) == (1, 2)


@pytest.mark.parametrize("where", share(BEFORE_THE_DECISION, of=2))
def test_a_worker_killed_on_the_way_to_the_decision_changes_nothing(stack: Stack, cast: Cast, where: str) -> None:
    stack.start("scheduler", **QUICK)
    stack.start("worker", FAILPOINTS=f"{where}=exit")
    job = act(user=cast.player1, game=cast.game, text="I open the cellar door")
    assert stack.wait("worker") == 9
    stack.start("worker", FAILPOINTS="")
    wait_until(lambda: asked(job), timeout=60)
    accept(cast.dm, job)
    wait_until(lambda: done(job), timeout=60)
    assert_nothing_happened_twice(cast, job)


@pytest.mark.parametrize("where", share(AFTER_THE_DECISION, of=2))
def test_a_worker_killed_on_the_way_to_the_end_changes_nothing(stack: Stack, cast: Cast, where: str) -> None:
    stack.start("scheduler", "worker", **QUICK)
    job = act(user=cast.player1, game=cast.game, text="I open the cellar door")
    wait_until(lambda: asked(job), timeout=60)
    stack.stop("worker")
    stack.start("worker", FAILPOINTS=f"{where}=exit")
    accept(cast.dm, job)
    assert stack.wait("worker") == 9
    stack.start("worker", FAILPOINTS="")
    wait_until(lambda: done(job), timeout=60)
    assert_nothing_happened_twice(cast, job)


def test_a_worker_killed_in_the_middle_of_the_models_answer_changes_nothing(stack: Stack, cast: Cast) -> None:
    stack.start("scheduler", "worker", SCRIPTED_SECONDS="2", **QUICK)
    job = act(user=cast.player1, game=cast.game, text="I open the cellar door")
    wait_until(lambda: Job.objects.filter(parent=job, status="running", progress__isnull=False).exists(), timeout=60)
    stack.kill9("worker")
    stack.start("worker", SCRIPTED_SECONDS="0.1")
    wait_until(lambda: asked(job), timeout=60)
    accept(cast.dm, job)
    wait_until(lambda: done(job), timeout=60)
    assert_nothing_happened_twice(cast, job)
