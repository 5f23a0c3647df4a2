"""The rules of durable functions: whoever breaks one is told so by name, whatever the handler makes of exceptions."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from jobs.inline import InlineRuntime
from jobs.models import Job, Wait
from jobs.models_steps import JobLog
from jobs.operations.enqueue import enqueue
from jobs.scheduler.timers import run_timers
from jobs.states import Status
from jobs.testing import Play, run_next
from tests.jobs import durable
from tests.jobs.durable import BREAKER, NEW, OLD, TELLER, Wish

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    durable.ran.clear()


def play(job: Job) -> Job:
    """Run it to its end; time passes at once."""
    while run_next() is not None:
        Wait.objects.filter(due_at__isnull=False).update(due_at=Now() - timedelta(seconds=1))
        run_timers()
    return Job.objects.get(pk=job.pk)


@pytest.mark.parametrize(
    ("do", "says"),
    [
        ("reuse", "step name 'same' is used twice"),
        ("write", "writes outside ctx.commit (INSERT …)"),
        ("write by query", "writes outside ctx.commit (WITH …)"),
        ("write in step", "writes outside ctx.commit (INSERT …)"),
        ("emit", "ctx.emit('game.state_updated') outside ctx.commit"),
        ("atomic", "'nap' is asked for inside a transaction"),
        ("verb in commit", "'inner' is asked for inside a transaction"),
        ("swallow all", "swallowed the suspension of 'nap'"),
        ("go on", "swallowed the suspension of 'nap'"),
        ("swallow failure", "went on with 'builds on it' after 'fails' had failed"),
        ("long name", "use 1 to 100 characters"),
        ("foreign token", "ctx.callback did not mint this token"),
        ("unknown verifier", "no verifier 'nobody' is registered"),
        ("naive time", "'nap' sleeps until a time without a time zone"),
    ],
)
def test_a_handler_that_breaks_a_rule_fails_by_its_name_even_if_it_hides_it(do: str, says: str) -> None:
    job = play(enqueue(BREAKER, Wish(do=do)))
    assert job.status == Status.DEAD
    assert job.error is not None
    assert (job.error["code"], says in job.error["detail"]) == ("handler_misuse", True), job.error
    assert not JobLog.objects.exists()


@pytest.mark.parametrize(
    ("do", "says"),
    [
        ("another way", "asks for 'step 1' (step) where this job went on with 'step 0' (step), 'nap' (sleep)"),
        ("leave out", "ended without asking for 'first time only' (step), 'nap' (sleep)"),
        ("another kind", "step 'thing' was recorded as step and is now commit"),
    ],
)
def test_a_handler_that_takes_another_way_when_it_runs_again_is_told_what_differs(do: str, says: str) -> None:
    job = play(enqueue(BREAKER, Wish(do=do)))
    assert job.error is not None
    assert (job.error["code"], says in job.error["detail"]) == ("step_mismatch", True), job.error


def test_jobs_of_two_versions_each_finish_on_the_one_they_began_with() -> None:
    old, new = enqueue(OLD, Wish()), enqueue(NEW, Wish())
    play(old)
    results = {job.version: job.result for job in Job.objects.all()}
    assert results == {1: "version 1", 2: "version 2"}
    assert new.version == 2


def test_a_job_moved_to_another_version_is_told_what_differs() -> None:
    job = enqueue(OLD, Wish())
    run_next()
    Job.objects.update(version=2)
    job = play(job)
    Wait.objects.update(due_at=Now() - timedelta(seconds=1))
    run_timers()
    job = play(job)
    assert job.error is not None
    assert "asks for 'uno' (step) where this job went on with 'one' (step), 'nap' (sleep)" in job.error["detail"]


def test_a_worker_that_does_not_know_a_version_leaves_it_to_others() -> None:
    job = enqueue(OLD, Wish())
    Job.objects.update(version=3)
    run_next()
    job.refresh_from_db()
    assert (job.status, job.attempt) == (Status.SCHEDULED, 1)
    assert job.error is not None
    assert "no version 3 of job type 'durable_changing'" in job.error["detail"]


def test_log_and_progress_are_silent_while_steps_are_read_back(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []
    monkeypatch.setattr(InlineRuntime, "report", lambda runtime, context, progress: told.append(progress["percent"]))
    job = Play(enqueue(TELLER, Wish())).finish()
    assert list(JobLog.objects.order_by("id").values_list("attempt", "text")) == [
        (1, "before the nap"),
        (1, "after the nap"),
        (2, "after the nap"),
    ], "the second attempt tells again only what comes after all that it reads back"
    assert told == [10, 50, 50]
    assert job.job.status == Status.COMPLETED


def test_a_result_is_returned_as_it_will_be_read_back_also_on_the_first_run() -> None:
    assert Play(enqueue(TELLER, Wish())).finish().result == ["list", ["a", 1]]


def test_a_step_that_failed_is_run_again_by_the_next_attempt_and_the_others_are_not() -> None:
    play = Play(enqueue(TELLER, Wish())).finish()
    assert durable.ran == ["shaky", "shaky"]
    assert list(play.job.steps.order_by("id").values_list("name", "attempt")) == [("pair", 1), ("nap", 1), ("shaky", 2)]
