"""What falls due is seen to when it does, not when the scheduler's tick comes round."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.db.models import F

from jobs import schedules
from jobs.clock import in_seconds, until_due
from jobs.models import Job, Wait
from jobs.operations.enqueue import enqueue
from jobs.operations.schedules import create
from jobs.scheduler.loop import Scheduler, services
from jobs.states import Status
from jobs.testing import run_next
from tests.jobs.durable import NAP, RECEIVER, Wish
from tests.jobs.kinds import ECHO, Plan
from tests.touched import sqlite_scans
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

SOON = timedelta(seconds=0.5)


@pytest.fixture(autouse=True)
def slow_ticks(config: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is left to the next tick comes after the test has failed."""
    config(tick_seconds=60, leader_lease_seconds=120, due_seconds=0.01)
    monkeypatch.setattr(schedules, "_declared", {})


@contextmanager
def a_scheduler() -> Iterator[None]:
    scheduler = Scheduler()
    thread = threading.Thread(target=scheduler.run)
    thread.start()
    try:
        yield
    finally:
        scheduler.stop()
        thread.join()


def until_scheduled() -> float:
    return until_due(Job.objects.filter(status=Status.SCHEDULED), "scheduled_at")


def scheduled(**delay: float) -> Job:
    return enqueue(ECHO, Plan(), delay=timedelta(**delay))


def test_the_next_look_is_a_moment_after_the_first_that_is_coming() -> None:
    assert until_scheduled() == 60
    scheduled(hours=1)
    assert until_scheduled() == 60, "no later than the next tick"
    scheduled(seconds=20)
    scheduled(seconds=30)
    assert 19 < until_scheduled() <= 20.01


def test_what_is_due_already_does_not_bring_the_next_look_closer() -> None:
    job = scheduled(seconds=20)
    Job.objects.filter(pk=job.pk).update(scheduled_at=F("scheduled_at") - timedelta(seconds=30))
    assert until_scheduled() == 60


def test_whose_time_comes_between_two_ticks_goes_on_then() -> None:
    asleep, waiting = enqueue(NAP, Wish(seconds=60)), enqueue(RECEIVER, Wish())
    run_next()
    run_next()
    delayed, expiring = scheduled(seconds=60), enqueue(ECHO, Plan(), expires_in=timedelta(seconds=60))
    once_an_hour = {"job_type": "test_echo", "interval_seconds": 3600, "starts_at": datetime.now(UTC) + SOON}
    create(name="hourly", fields=once_an_hour, by=None)
    Job.objects.filter(pk=delayed.pk).update(scheduled_at=in_seconds(SOON.total_seconds()))
    Job.objects.filter(pk=expiring.pk).update(expires_at=in_seconds(SOON.total_seconds()))
    Wait.objects.filter(job__in=[asleep, waiting]).update(due_at=in_seconds(SOON.total_seconds()))
    with a_scheduler():
        wait_until(lambda: Job.objects.filter(status=Status.QUEUED).count() == 4)
        wait_until(lambda: Job.objects.get(pk=expiring.pk).status == Status.EXPIRED)


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL is asked how many rows it has read")
def test_on_sqlite_too_the_scheduler_finds_by_index_whose_time_has_come() -> None:
    scheduled(hours=1)
    enqueue(ECHO, Plan(), expires_in=timedelta(hours=1))
    for service in services().values():
        assert sqlite_scans("jobs_job", service) == []
