"""Calls and ends that lock the same jobs wait for one another, and none is thrown out for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models.functions import Now

from jobs.models import Job
from jobs.operations.enqueue import enqueue, enqueue_many
from jobs.operations.outcomes import settle
from jobs.operations.transitions import lock
from jobs.scheduler.due import run_due
from jobs.states import Status
from tests.jobs.in_sets import claimed, ends
from tests.jobs.kinds import ECHO, Plan
from tests.locks import waiting_for_locks
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer at a time"),
]


def _waiting(count: int) -> bool:
    return waiting_for_locks() == count


def at_once(first: Callable[[], Any], second: Callable[[], Any], *, while_locked: Job) -> list[Exception]:
    """Both wait for this job, the first before the second, and then go on; what was raised."""
    raised: list[Exception] = []

    def run(act: Callable[[], Any]) -> None:
        try:
            act()
        except Exception as error:
            raised.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(act,)) for act in (first, second)]
    with transaction.atomic():
        lock([while_locked.pk])
        for count, thread in enumerate(threads, 1):
            thread.start()
            wait_until(partial(_waiting, count))
    for thread in threads:
        thread.join()
    return raised


@pytest.mark.parametrize("many", [False, True])
def test_who_depends_on_two_of_a_lane_may_be_asked_for_while_one_of_them_ends(many: bool) -> None:
    """The end locks the later one first, which comes first in their lane; the call goes by their ids."""
    older = enqueue(ECHO, Plan(), ordering_key="lane:a", delay=timedelta(hours=1))
    head = enqueue(ECHO, Plan(), ordering_key="lane:a")
    (running,) = claimed([head])
    Job.objects.filter(pk=older.pk).update(scheduled_at=Now())
    run_due()

    def ask() -> None:
        asked: dict[str, Any] = {"depends_on": [older, head]}
        enqueue_many(ECHO, [Plan()], **asked) if many else enqueue(ECHO, Plan(), **asked)

    assert at_once(lambda: settle(ends([running])), ask, while_locked=head) == []
    last = Job.objects.latest("pk")
    assert {job.pk: job.status for job in Job.objects.all()} == {
        older.pk: Status.QUEUED,
        head.pk: Status.COMPLETED,
        last.pk: Status.PENDING,
    }
