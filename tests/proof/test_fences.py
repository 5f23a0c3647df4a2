"""Each guard on its own: what happens when the one that it keeps out comes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, OperationalError, connection
from django.db.models.functions import Now

from jobs import invariants
from jobs.models import Job, Worker
from jobs.models_events import JobEvent
from jobs.operations import leases, outcomes, transitions
from jobs.operations.controls import cancel
from jobs.operations.enqueue import enqueue
from jobs.operations.outcomes import Ended, settle
from jobs.transport import Ticket
from tests.jobs.kinds import ECHO, Plan
from tests.together import at_once

pytestmark = pytest.mark.django_db(transaction=True)

THREADS = 8


def claimed(name: str = "a") -> Job:
    worker = leases.register(name=name, queues=["system"], slots=1)
    (job,) = leases.claim_next(["system"], limit=1, worker_id=worker.pk)
    return job


def done(job: Job) -> Ended:
    return Ended(job_id=job.pk, token=job.token, lane_id=job.lane_id, parent_id=job.parent_id, result={"text": "x"})


def test_a_claim_that_is_over_ends_nothing() -> None:
    enqueue(ECHO, Plan())
    stale = claimed()
    Worker.objects.update(lease_until=Now() - timedelta(hours=1))
    leases.rescue()
    fresh = claimed("b")
    assert settle([done(stale)]) == set()
    assert settle([done(fresh)]) == {fresh.pk}


def test_a_job_that_was_called_off_is_not_claimed_by_its_old_ticket() -> None:
    job = enqueue(ECHO, Plan())
    cancel(job.pk)
    worker = leases.register(name="a", queues=["system"], slots=1)
    assert leases.claim([Ticket(job.pk, job.token)], worker_id=worker.pk) == []


def test_an_end_whose_reply_was_lost_is_not_written_again(caplog: pytest.LogCaptureFixture) -> None:
    job = enqueue(ECHO, Plan(), scope="test:1")
    ended = done(claimed())
    assert settle([ended]) == {job.pk}
    assert settle([ended]) == set()
    assert caplog.messages == [], "nor tried: else the record itself would have to refuse it"


@pytest.mark.parametrize("event", ["job.completed", "request.completed"])
def test_the_record_itself_refuses_a_second_end(event: str) -> None:
    job = enqueue(ECHO, Plan())
    JobEvent.objects.create(job=job, event=event)
    with pytest.raises(IntegrityError):
        JobEvent.objects.create(job=job, event=event)


def test_jobs_of_one_lane_asked_for_at_once_have_places_of_their_own() -> None:
    enqueue(ECHO, Plan(), ordering_key="lane:a")
    jobs = at_once(*[lambda: enqueue(ECHO, Plan(), ordering_key="lane:a")] * THREADS)
    assert sorted(job.place or 0 for job in jobs) == list(range(2, THREADS + 2))
    assert {job.status for job in jobs} == {"pending"}


def test_events_of_one_scope_written_at_once_have_numbers_without_gaps() -> None:
    enqueue(ECHO, Plan(), scope="test:1")
    at_once(*[lambda: enqueue(ECHO, Plan(), scope="test:1")] * THREADS)
    numbers = JobEvent.objects.filter(scope__key="test:1").order_by("seq").values_list("seq", flat=True)
    assert list(numbers) == list(range(1, THREADS + 2))
    assert invariants.broken() == {}


def test_a_caller_who_was_not_told_asks_again_and_gets_the_same_job(monkeypatch: pytest.MonkeyPatch) -> None:
    user = User.objects.create_user("ann")
    commit: Callable[[], None] = connection._commit  # type: ignore[attr-defined]

    def commit_then_raise() -> None:
        monkeypatch.undo()
        commit()
        raise OperationalError("the reply was lost")

    monkeypatch.setattr(connection, "_commit", commit_then_raise)
    with pytest.raises(OperationalError):
        enqueue(ECHO, Plan(), owner=user, idempotency_key="k", ordering_key="lane:a", scope="test:1")
    again = enqueue(ECHO, Plan(), owner=user, idempotency_key="k", ordering_key="lane:a", scope="test:1")
    assert again == Job.objects.get()
    assert invariants.broken() == {}


@pytest.mark.parametrize("failures", [1, 2])
def test_no_end_is_changed_because_the_database_was_away(monkeypatch: pytest.MonkeyPatch, failures: int) -> None:
    enqueue(ECHO, Plan())
    ended = done(claimed())
    left = [OperationalError("server closed the connection unexpectedly")] * failures

    def lock(ids: Iterable[int]) -> dict[int, Job]:
        if left:
            raise left.pop()
        return transitions.lock(ids)

    monkeypatch.setattr(outcomes, "lock", lock)
    while True:
        with suppress(OperationalError):
            settle([ended])
            break
    assert Job.objects.get().status == "completed"
