"""The test kit: handlers run with a clock of their own, are killed anywhere, and their waits are answered."""

from __future__ import annotations

import gc
import time
from datetime import timedelta
from typing import Any

import pytest

from jobs import invariants
from jobs.models import Job
from jobs.models_steps import JobLog, JobStep
from jobs.operations.enqueue import enqueue
from jobs.states import Status
from jobs.testing import Nondeterministic, Play, replay_check, steps_of
from tests.jobs import durable
from tests.jobs.durable import EVERYTHING, GATHERER, HASTY, NAP, RECEIVER, SUBMITTER, Wish

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    durable.ran.clear()
    durable.handed_out.clear()


def test_a_week_passes_at_once() -> None:
    play = Play(enqueue(NAP, Wish(seconds=7 * 86400))).run()
    play.pass_time(timedelta(days=6)).run()
    assert play.waiting_for == "nap"
    assert play.pass_time(timedelta(days=1, seconds=1)).run().result == ["before", "after"]


def test_answers_may_be_given_before_and_while_the_job_waits() -> None:
    early = Play(enqueue(RECEIVER, Wish())).answer("news", 1).run()
    assert early.result == {"got": 1}
    assert Play(enqueue(RECEIVER, Wish())).run().answer("news", 2).run().result == {"got": 2}


def test_calls_are_answered_and_failed_by_the_test_and_do_not_run() -> None:
    play = Play(enqueue(GATHERER, Wish(texts=["a", "b"]))).run()
    play.answer("parts.0", "mine").fail("parts.1", "broken").run()
    assert play.result == ["mine", "failed: broken"]
    assert durable.ran == []


def test_time_runs_out_for_what_nobody_answers() -> None:
    assert Play(enqueue(SUBMITTER, Wish(seconds=60))).finish().result == {"answer": "too late"}


def test_a_place_that_is_never_passed_is_told() -> None:
    with pytest.raises(AssertionError, match="never came to 'after_step:none'"):
        Play(enqueue(NAP, Wish())).run(kill_at="after_step:none")


def test_a_result_that_is_not_there_is_told_with_what_it_waits_for() -> None:
    with pytest.raises(AssertionError, match="waiting: nap"):
        _ = Play(enqueue(NAP, Wish(seconds=60))).run().result


@pytest.mark.parametrize(
    ("do", "what"),
    [
        ("time", r"the clock \(time\)"),
        ("now", r"the clock \(datetime.now\)"),
        ("django's now", r"the clock \(datetime.now\)"),
        ("uuid4", r"chance \(urandom\)"),
        ("random", r"chance \(random.random\)"),
        ("choice", r"chance \(random.getrandbits\)"),
    ],
)
def test_a_handler_that_reads_the_clock_or_chance_is_told_so_and_where(do: str, what: str) -> None:
    with pytest.raises(
        Nondeterministic, match=rf"the handler reads {what} at .*durable\.py:\d+ .*move it into ctx.step"
    ):
        replay_check(lambda: enqueue(HASTY, Wish(do=do)))
    assert Play(enqueue(HASTY, Wish(do=do, texts=["in a step"]))).run().job.status == Status.COMPLETED


@pytest.mark.parametrize("do", ["log", "seeded", "collect"])
def test_what_does_not_change_what_a_handler_does_is_no_matter(do: str) -> None:
    gc.callbacks.append(time_it)
    try:
        assert Play(enqueue(HASTY, Wish(do=do))).run().job.status == Status.COMPLETED
    finally:
        gc.callbacks.remove(time_it)


def time_it(phase: str, info: dict[str, int]) -> None:
    """As profilers and Hypothesis do with each garbage collection."""
    time.perf_counter()


def answer() -> bool:
    """Whoever was handed a token answers once."""
    from django.test import Client

    from jobs.operations.callbacks import path

    if not durable.handed_out:
        return False
    token = durable.handed_out.pop()
    response = Client().post(path(token), '"three"', content_type="application/json")
    return response.status_code == 200


def described(job: Job) -> Any:
    return job.status, job.result, sorted(steps_of(job)), JobLog.objects.filter(job=job, text="effect").count()


def test_a_handler_with_every_verb_and_wait_is_the_same_however_often_it_is_killed() -> None:
    places = replay_check(lambda: enqueue(EVERYTHING, Wish()), answer, described)
    job = Job.objects.filter(type=EVERYTHING.name).latest("pk")
    assert job.result == ["one", "two", "three", "CALLED", ["A", "B"]]
    assert JobLog.objects.filter(text="effect").count() == 2
    assert JobStep.objects.filter(job=job).values("name").distinct().count() == 10
    assert not invariants.broken()
    assert {"in_claim", "in_mint", "in_call", "in_wait", "in_settle", "after_settle"} <= set(places)
    for place in ("before_step:one", "in_step:one", "before_io:two", "in_step:two", "after_wait:third", "in_call"):
        assert place in places
    for place in ("after_wait:called", "after_wait:parts", "after_wait:nap", "after_wait:third.answer"):
        assert place in places
    assert {"before_commit:effect", "in_commit:effect", "after_commit:effect"} <= set(places)
