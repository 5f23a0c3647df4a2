"""The scheduler's services: none keeps the others from their work, nor one bad row of a batch the rest."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import DataError, OperationalError
from django.db.models import F
from django.db.models.functions import Now

from jobs.events.ledger import Ledger
from jobs.models import Job, Wait, Worker
from jobs.operations import leases
from jobs.operations.enqueue import enqueue
from jobs.scheduler import loop
from jobs.scheduler.called_off import run_called_off
from jobs.scheduler.due import run_due, run_released
from jobs.scheduler.expiry import run_expiry
from jobs.scheduler.loop import Scheduler
from jobs.scheduler.rescue import run_rescue
from jobs.scheduler.timers import run_timers
from jobs.states import Status
from jobs.testing import run_until_idle
from tests.jobs.durable import NAP, Wish
from tests.jobs.kinds import ECHO, Plan

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("error", [RuntimeError, DataError, OperationalError])
def test_a_service_that_fails_time_and_again_keeps_none_from_its_work(
    error: type[Exception], config: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    config(tick_seconds=0.001)
    ran: list[str] = []

    def fail() -> float:
        raise error("always")

    def note(name: str) -> float:
        ran.append(name)
        return 0.0

    own = {"before": partial(note, "before"), "bad": fail, "after": partial(note, "after")}
    monkeypatch.setattr(loop, "services", lambda: own)
    scheduler = Scheduler()
    for _ in range(20):
        scheduler._turn()
    assert min(ran.count("before"), ran.count("after")) > 5


def due() -> list[Job]:
    return [enqueue(ECHO, Plan(), delay=timedelta(hours=1)) for _ in range(5)]


def released() -> list[Job]:
    first = enqueue(ECHO, Plan())
    jobs = [enqueue(ECHO, Plan(), depends_on=[first]) for _ in range(5)]
    Job.objects.filter(pk=first.pk).update(status=Status.COMPLETED, finished_at=Now())
    return jobs


def late() -> list[Job]:
    return [enqueue(ECHO, Plan(), expires_in=timedelta(hours=1)) for _ in range(5)]


def lost() -> list[Job]:
    jobs = [enqueue(ECHO, Plan()) for _ in range(5)]
    worker = leases.register(name="w", queues=["system"], slots=5)
    leases.claim_next(["system"], limit=5, worker_id=worker.pk)
    return jobs


def asleep() -> list[Job]:
    jobs = [enqueue(NAP, Wish(seconds=3600)) for _ in range(5)]
    run_until_idle()
    return jobs


def called_off() -> list[Job]:
    """Their process died when it had called them off and before it ended them."""
    jobs = asleep()
    Job.objects.update(cancel_requested_at=Now())
    return jobs


def hand_back_all() -> None:
    """Not the scheduler's, but the worker's heartbeat's."""
    leases.hand_back(Job.objects.filter(status=Status.RUNNING).values_list("pk", "token"))


def hours_later() -> None:
    ago = timedelta(hours=2)
    Job.objects.update(scheduled_at=F("scheduled_at") - ago, expires_at=F("expires_at") - ago)
    Wait.objects.update(due_at=F("due_at") - ago)
    for worker in Worker.objects.all():
        leases.resign(worker.pk)


@pytest.mark.parametrize(
    ("made", "service", "status"),
    [
        (due, run_due, Status.QUEUED),
        (released, run_released, Status.QUEUED),
        (late, run_expiry, Status.EXPIRED),
        (lost, run_rescue, Status.QUEUED),
        (lost, hand_back_all, Status.QUEUED),
        (asleep, run_timers, Status.QUEUED),
        (called_off, run_called_off, Status.CANCELLED),
    ],
)
def test_one_job_with_which_nothing_can_be_done_does_not_hold_up_the_rest(
    made: Callable[[], list[Job]],
    service: Callable[[], object],
    status: Status,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    jobs = made()
    bad, note = jobs[2], Ledger.note
    before = Job.objects.get(pk=bad.pk).status

    def has_a_defect(self: Ledger, job: Job, *args: Any, **options: Any) -> Any:
        if job.pk == bad.pk:
            raise RuntimeError("a defect")
        return note(self, job, *args, **options)

    hours_later()
    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "note", has_a_defect)
        service()
    found = Job.objects.in_bulk([job.pk for job in jobs])
    assert [found[job.pk].status for job in jobs] == [status, status, before, status, status]
    assert "until the next look" in caplog.text
    service()
    assert Job.objects.get(pk=bad.pk).status == status
