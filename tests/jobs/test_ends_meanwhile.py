"""An end that finds its job being changed by somebody else waits, and is stored on top of that, or not at all."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import F

from jobs.models import Job
from jobs.models_events import JobEvent
from jobs.operations.enqueue import enqueue, enqueue_many
from jobs.operations.outcomes import settle
from jobs.operations.transitions import lock
from jobs.states import Status
from tests.jobs.in_sets import claimed, ends
from tests.jobs.kinds import ECHO, Plan
from tests.locks import waiting_for_locks
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer at a time"),
]


def settled_while(change: Callable[[], Any], jobs: list[Job]) -> set[int]:
    """What is stored of the ends of these jobs, which begins while one of them is changed and not yet committed."""
    stored: set[int] = set()

    def end() -> None:
        stored.update(settle(ends(jobs)))
        connection.close()

    ender = threading.Thread(target=end)
    with transaction.atomic():
        change()
        ender.start()
        wait_until(lambda: waiting_for_locks() == 1)
    ender.join()
    return stored


@pytest.mark.parametrize("options", [{}, {"scope": "test:1"}], ids=["alone", "together"])
def test_what_is_changed_in_it_meanwhile_stays_and_it_ends(options: dict[str, Any]) -> None:
    jobs = claimed(enqueue_many(ECHO, [Plan()] * 3, **options))
    change = Job.objects.filter(pk=jobs[1].pk)
    stored = settled_while(lambda: change.update(progress={"percent": 5}, priority=7), jobs)
    assert stored == {job.pk for job in jobs}
    job = Job.objects.get(pk=jobs[1].pk)
    assert (job.status, job.progress, job.priority, job.result) == ("completed", {"percent": 5}, 7, {"text": ""})
    assert JobEvent.objects.filter(event="job.completed").count() == 3


@pytest.mark.parametrize("options", [{}, {"scope": "test:1"}], ids=["alone", "together"])
@pytest.mark.parametrize("lane", ["", "lane:a"])
def test_who_comes_to_depend_on_it_meanwhile_runs_at_once(options: dict[str, Any], lane: str) -> None:
    jobs = claimed(enqueue_many(ECHO, [Plan()] * 3, **options))
    settled_while(lambda: enqueue(ECHO, Plan(), depends_on=[jobs[1]], ordering_key=lane), jobs)
    assert Job.objects.latest("pk").status == Status.QUEUED


def test_an_end_is_stored_while_somebody_holds_one_that_depends_on_it_who_runs_then() -> None:
    (job,) = claimed(enqueue_many(ECHO, [Plan()]))
    dependent = enqueue(ECHO, Plan(), depends_on=[job])

    def end() -> None:
        settle(ends([job]))
        connection.close()

    ender = threading.Thread(target=end)
    with transaction.atomic():
        lock([dependent.pk])
        ender.start()
        wait_until(lambda: Job.objects.filter(pk=job.pk, status=Status.COMPLETED).exists())
        wait_until(lambda: waiting_for_locks() == 1)
    ender.join()
    assert Job.objects.get(pk=dependent.pk).status == Status.QUEUED


@pytest.mark.parametrize("options", [{}, {"scope": "test:1"}], ids=["alone", "together"])
def test_whose_claim_is_taken_away_meanwhile_does_not_end(options: dict[str, Any]) -> None:
    jobs = claimed(enqueue_many(ECHO, [Plan()] * 3, **options))
    change = Job.objects.filter(pk=jobs[1].pk)
    stored = settled_while(lambda: change.update(token=F("token") + 1), jobs)
    assert stored == {jobs[0].pk, jobs[2].pk}
    assert Job.objects.get(status=Status.RUNNING).pk == jobs[1].pk


def test_of_two_ends_of_a_job_the_one_whose_claim_holds_counts() -> None:
    (job,) = claimed(enqueue_many(ECHO, [Plan()]))
    Job.objects.filter(pk=job.pk).update(token=2)
    late, own = ends([job])[0], ends([Job.objects.get(pk=job.pk)])[0]
    assert settle([late, own]) == {job.pk}
    assert Job.objects.get(pk=job.pk).token == 2
