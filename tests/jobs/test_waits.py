"""Handlers that sleep and that wait for answers."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest
from django.db import connection
from django.db.models import F
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from jobs import invariants
from jobs.events.ledger import ledger
from jobs.models import Job, Wait
from jobs.models_waits import WaitState
from jobs.operations import answers
from jobs.operations.controls import cancel
from jobs.operations.enqueue import enqueue, enqueue_many
from jobs.operations.transitions import lock
from jobs.scheduler.timers import run_timers
from jobs.states import Status
from jobs.testing import run_next, run_until_idle
from jobs.why import why_waiting
from tests.jobs.durable import NAP, NEW, OLD, RECEIVER, Wish
from tests.processes import Stack
from tests.together import at_once
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

WEEK = timedelta(days=7)


def fresh(job: Job) -> Job:
    return Job.objects.get(pk=job.pk)


def make_due(job: Job) -> None:
    Wait.objects.filter(job=job).update(due_at=Now() - timedelta(seconds=1))


def make_due_all() -> None:
    Wait.objects.filter(due_at__isnull=False).update(due_at=Now() - timedelta(seconds=1))


def give(job: Job, name: str, answer: object) -> bool:
    with ledger() as book:
        return answers.give(book, lock([job.pk])[job.pk], name=name, answer=answer)


def test_a_job_sleeps_without_a_slot_and_goes_on_when_its_time_has_come() -> None:
    job = enqueue(NAP, Wish(seconds=WEEK.total_seconds()))
    run_next()
    assert fresh(job).status == Status.WAITING
    assert not invariants.broken()
    run_timers()
    assert run_next() is None, "a week is not over"
    make_due(job)
    run_timers()
    run_next()
    assert fresh(job).result == ["before", "after"]
    assert not invariants.broken()


def test_staff_are_told_what_a_job_waits_for() -> None:
    asleep, waiting = enqueue(NAP, Wish(seconds=60)), enqueue(RECEIVER, Wish())
    run_next()
    run_next()
    first, second = why_waiting(fresh(asleep)), why_waiting(fresh(waiting))
    assert first is not None
    assert second is not None
    assert (first.reason, first.text.startswith("sleeps until 20")) == ("sleep", True)
    assert (second.reason, second.text) == ("answer", "waits for an answer (news)")


def test_an_answer_resumes_the_job_that_waits_for_it() -> None:
    job = enqueue(RECEIVER, Wish())
    run_next()
    assert give(job, "news", {"a": 1})
    assert not give(job, "news", {"a": 2}), "the first answer stands"
    run_next()
    assert fresh(job).result == {"got": {"a": 1}}


def test_an_answer_that_comes_before_the_job_waits_is_kept() -> None:
    job = enqueue(RECEIVER, Wish())
    assert give(job, "news", "early")
    run_next()
    assert (fresh(job).result, fresh(job).token) == ({"got": "early"}, 1)


def test_a_handler_is_told_when_no_answer_comes_in_time() -> None:
    job = enqueue(RECEIVER, Wish(seconds=60))
    run_next()
    make_due(job)
    run_timers()
    assert not give(job, "news", "late")
    run_next()
    assert fresh(job).result == {"late": "timed_out"}


def test_what_a_job_waits_for_is_withdrawn_when_it_is_called_off() -> None:
    job = enqueue(NAP, Wish(seconds=60))
    run_next()
    cancel(job.pk)
    assert fresh(job).status == Status.CANCELLED
    assert Wait.objects.get().state == WaitState.WITHDRAWN
    make_due(job)
    run_timers()
    assert run_next() is None


def test_thousands_of_sleepers_cost_the_scheduler_two_indexed_statements() -> None:
    job = enqueue(NAP, Wish())
    later = Now() + timedelta(days=1)
    rows = [Wait(job=job, name=str(n), kind="sleep", due_at=later, awaited_at=Now()) for n in range(5000)]
    Wait.objects.bulk_create(rows, batch_size=500)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    with CaptureQueriesContext(connection) as captured:
        run_timers()
    assert len(captured) == 2
    explain = "EXPLAIN " if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN "
    for statement in captured:
        with connection.cursor() as cursor:
            cursor.execute(explain + statement["sql"])
            assert "wait_due" in str(cursor.fetchall())


def statements_to_wake(count: int) -> int:
    jobs = enqueue_many(NAP, [Wish(seconds=60)] * count)
    while run_next():
        pass
    make_due_all()
    with CaptureQueriesContext(connection) as captured:
        run_timers()
    assert Job.objects.filter(pk__in=[job.pk for job in jobs], status=Status.QUEUED).count() == count
    run_until_idle()
    return len(captured)


def test_many_sleepers_wake_in_hardly_more_statements_than_a_few() -> None:
    assert statements_to_wake(60) <= statements_to_wake(3) + 4, "SQLite takes a thousand parameters at once"


@pytest.mark.integration
def test_a_job_that_has_slept_for_a_week_goes_on_with_the_next_deploy(stack: Stack) -> None:
    before = {"sleeps": enqueue(NAP, Wish(seconds=WEEK.total_seconds())), "version 1": enqueue(OLD, Wish())}
    stack.start("worker", "scheduler")
    wait_until(lambda: all(fresh(job).status == Status.WAITING for job in before.values()))
    stack.stop("worker")
    stack.stop("scheduler")
    # A week later: everything that was written then is a week older.
    Wait.objects.update(at=F("at") - WEEK, awaited_at=F("awaited_at") - WEEK, due_at=F("due_at") - WEEK)
    Job.objects.update(created_at=F("created_at") - WEEK, queued_at=F("queued_at") - WEEK)
    after = enqueue(NEW, Wish(seconds=0.1))
    stack.start("worker.next", "scheduler.next")
    wait_until(lambda: all(fresh(job).ended for job in (*before.values(), after)))
    assert fresh(before["sleeps"]).result == ["before", "after"]
    assert (fresh(before["version 1"]).result, fresh(after).result) == ("version 1", "version 2")


@pytest.mark.parametrize("_round", range(3))
def test_of_answers_and_the_end_of_the_time_at_once_the_first_stands(_round: int) -> None:
    job = enqueue(RECEIVER, Wish(seconds=60))
    run_next()
    make_due(job)
    *taken, _ = at_once(*[partial(give, job, "news", number) for number in range(4)], partial(answers.wake, 10))
    answers.wake(10)
    run_next()
    assert sum(taken) <= 1
    assert fresh(job).result == ({"got": taken.index(True)} if any(taken) else {"late": "timed_out"})
    assert fresh(job).token == 2, "resumed once"
