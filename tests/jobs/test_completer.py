"""The thread that stores ends, when the database fails it in the middle."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator

import pytest
from django.db import OperationalError

from jobs.failpoints import arm, disarm
from jobs.models import Job
from jobs.models_events import JobEvent
from jobs.operations import leases, permits
from jobs.operations.enqueue import enqueue, enqueue_many
from jobs.operations.outcomes import Ended
from jobs.states import Status
from jobs.transport import Ticket
from jobs.worker.completer import Completer
from tests.jobs.kinds import ECHO, Plan
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def completer() -> Iterator[tuple[Completer, list[int]]]:
    """With the ids of the jobs whose ends it has stored."""
    stored: list[int] = []
    completer = Completer(lambda ended: stored.append(ended.job_id), more=lambda: False)
    yield completer, stored
    disarm()
    completer.close(10)


def test_what_is_stored_is_not_taken_for_lost_when_what_ended_with_it_is_stored_later(
    completer: tuple[Completer, list[int]], config: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    config(poll_seconds=0.01)
    jobs = [enqueue(ECHO, Plan()), enqueue(ECHO, Plan()), enqueue(ECHO, Plan(), scope="test:1")]
    worker = leases.register(name="w", queues=["system"], slots=100)
    first, alone, scoped = leases.claim([Ticket(job.pk, job.token) for job in jobs], worker_id=worker.pk)
    began, both_are_there, passages = threading.Event(), threading.Event(), iter(range(100))

    def strike() -> None:
        match next(passages):
            case 0:
                began.set()
                both_are_there.wait(10)
            case 2:
                raise OperationalError("the database is away")

    arm("in_settle", strike)
    thread, stored = completer
    thread.put(_done(first))
    assert began.wait(10)
    thread.put(_done(alone))
    thread.put(_done(scoped))
    both_are_there.set()
    wait_until(lambda: len(stored) == 3)
    assert set(Job.objects.values_list("status", flat=True)) == {Status.COMPLETED}
    told = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert told == ["the ends of 1 jobs are not stored yet"]


def test_a_database_that_goes_away_after_an_end_was_stored_ends_no_thread(
    completer: tuple[Completer, list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [enqueue(ECHO, Plan(), scope="test:1") for _ in range(2)]
    worker = leases.register(name="w", queues=["system"], slots=2)
    first, second = leases.claim([Ticket(job.pk, job.token) for job in jobs], worker_id=worker.pk)
    asked: list[object] = []

    def away(names: object) -> bool:
        asked.append(names)
        raise OperationalError("the database is away")

    monkeypatch.setattr(permits, "given_up", lambda left, ended: {"queue:system"})
    monkeypatch.setattr(permits, "_hold_back", away)
    thread, stored = completer
    thread.put(_done(first))
    wait_until(lambda: asked)
    thread.put(_done(second))
    wait_until(lambda: len(stored) == 2)
    assert set(Job.objects.values_list("status", flat=True)) == {Status.COMPLETED}


def test_ends_wait_for_those_of_jobs_that_have_yet_to_begin(
    config: Callable[..., None],
) -> None:
    config(settle_seconds=20)
    first, second = claimed(2)
    asked, stored, yet_to_begin = threading.Event(), list[int](), True

    def more() -> bool:
        asked.set()
        return yet_to_begin

    completer = Completer(lambda ended: stored.append(ended.job_id), more=more)
    completer.put(_done(first))
    assert asked.wait(10)
    assert not stored
    yet_to_begin = False
    completer.put(_done(second))
    wait_until(lambda: len(stored) == 2)
    completer.close(10)
    told = JobEvent.objects.filter(event="job.completed").values_list("at", flat=True)
    assert len(set(told)) == 1, "they were stored by one statement"


def test_nobody_waits_for_jobs_that_never_begin(config: Callable[..., None]) -> None:
    config(settle_seconds=0.01)
    (job,) = claimed(1)
    stored: list[int] = []
    completer = Completer(lambda ended: stored.append(ended.job_id), more=lambda: True)
    completer.put(_done(job))
    wait_until(lambda: stored == [job.pk])
    completer.close(10)


def claimed(count: int) -> list[Job]:
    jobs = enqueue_many(ECHO, [Plan()] * count)
    worker = leases.register(name="w", queues=["system"], slots=100)
    return leases.claim([Ticket(job.pk, job.token) for job in jobs], worker_id=worker.pk)


def _done(job: Job) -> Ended:
    alone = job.scope_id is None
    return Ended(job_id=job.pk, token=job.token, lane_id=None, parent_id=None, alone=alone, result={"text": ""})
