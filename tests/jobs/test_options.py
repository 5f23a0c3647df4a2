"""What a caller may say about a job, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobs.errors import Invalid
from jobs.events.ledger import Ledger
from jobs.models import Job
from jobs.models_dependencies import IfDead
from jobs.models_events import JobEvent
from jobs.operations import births, leases
from jobs.operations.asking import Options, new_job
from jobs.operations.enqueue import enqueue, enqueue_many
from jobs.operations.outcomes import Ended, How, settle
from jobs.scheduler.due import run_released
from jobs.states import Status
from jobs.testing import run_next, run_until_idle
from jobs.transport import transport
from tests.jobs import kinds
from tests.jobs.kinds import ECHO, FAIL, SNOOZE, Plan

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    kinds.ran.clear()


def fresh(job: Job) -> Job:
    return Job.objects.get(pk=job.pk)


def test_lower_priority_runs_first() -> None:
    for text, priority in (("b", 0), ("c", 5), ("a", -5)):
        enqueue(ECHO, Plan(text=text), priority=priority)
    run_until_idle()
    assert kinds.ran == ["a", "b", "c"]


def test_listed_backoff_is_kept_and_its_last_value_repeats() -> None:
    job = enqueue(FAIL, Plan(), max_attempts=4, backoff=[1, 20])
    run_until_idle()
    waits = [
        event.data["after_seconds"] for event in job.events.filter(event="job.retried").order_by("id") if event.data
    ]
    assert waits == [1, 20, 20]


def test_a_snooze_is_no_attempt() -> None:
    job = enqueue(SNOOZE, Plan())
    run_next()
    job = fresh(job)
    assert (job.status, job.attempt) == (Status.SCHEDULED, 1)
    assert job.events.filter(event="job.snoozed").count() == 1


def test_a_unique_job_is_the_same_one_while_it_is_open() -> None:
    first = enqueue(ECHO, Plan(text="a"), unique="nightly")
    assert enqueue(ECHO, Plan(text="b"), unique="nightly").pk == first.pk
    run_until_idle()
    assert enqueue(ECHO, Plan(text="c"), unique="nightly").pk != first.pk


def test_a_unique_job_is_made_where_another_was_in_its_way_that_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    inserts: list[str] = []

    def behind_another(book: Ledger, jobs: Sequence[Job], options: Options) -> None:
        inserts.append(jobs[0].unique_key)
        if len(inserts) == 1:  # gone when our insert is undone
            births.insert(book, [new_job(ECHO, {}, options)], options)
        births.insert(book, jobs, options)

    monkeypatch.setattr("jobs.operations.enqueue.insert", behind_another)
    job = enqueue(ECHO, Plan(text="a"), unique="nightly")
    assert inserts == ["nightly"] * 2
    assert Job.objects.get().pk == job.pk
    assert [event.event for event in job.events.all()] == ["job.queued"]


def test_asked_for_again_and_again_it_runs_once_with_what_was_said_last() -> None:
    asked = [
        enqueue(ECHO, Plan(text=text), unique="search", replace=True, delay=timedelta(seconds=seconds))
        for text, seconds in (("a", 10), ("ab", 20), ("abc", 30))
    ]
    (job,) = Job.objects.all()
    assert {each.pk for each in asked} == {job.pk}
    assert job.payload["text"] == "abc"
    assert job.scheduled_at is not None
    assert job.scheduled_at > timezone.now() + timedelta(seconds=25)
    Job.objects.update(scheduled_at=timezone.now())
    run_until_idle()
    job.refresh_from_db()
    assert job.result == {"text": "abc"}


def test_a_job_that_has_begun_is_not_replaced() -> None:
    enqueue(ECHO, Plan(text="a"), unique="search")
    worker = leases.register(name="w", queues=["system"], slots=1)
    (running,) = leases.claim_next(["system"], limit=1, worker_id=worker.pk)
    assert enqueue(ECHO, Plan(text="b"), unique="search", replace=True).pk == running.pk
    assert Job.objects.get().payload["text"] == "a"
    with pytest.raises(Invalid, match="only a unique job"):
        enqueue(ECHO, Plan(), replace=True)


def test_a_job_runs_when_all_that_it_depends_on_has_ended() -> None:
    first, second = enqueue(ECHO, Plan(text="1")), enqueue(ECHO, Plan(text="2"), delay=timedelta(hours=1))
    third = enqueue(ECHO, Plan(text="3"), depends_on=[first, second])
    assert third.status == Status.PENDING
    run_next()
    assert fresh(third).status == Status.PENDING
    run_until_idle()
    assert kinds.ran == ["1", "2", "3"]


@pytest.mark.parametrize(("if_dead", "status"), [(IfDead.CANCEL, Status.CANCELLED), (IfDead.RUN, Status.COMPLETED)])
def test_when_one_that_it_depends_on_dies_the_caller_says_what_happens(if_dead: IfDead, status: Status) -> None:
    dead = enqueue(FAIL, Plan(do="permanent"))
    job = enqueue(ECHO, Plan(), depends_on=[dead], if_dead=if_dead)
    later = enqueue(ECHO, Plan(), depends_on=[job], if_dead=IfDead.RUN)
    run_until_idle()
    assert (fresh(job).status, fresh(later).status) == (status, Status.COMPLETED)


def test_a_dependent_in_a_lane_is_released_by_whichever_ends_last() -> None:
    other = enqueue(ECHO, Plan(text="other"))
    enqueue(ECHO, Plan(text="head"), ordering_key="lane:a")
    job = enqueue(ECHO, Plan(text="last"), ordering_key="lane:a", depends_on=[other])
    worker = leases.register(name="a", queues=["system"], slots=2)
    claimed = leases.claim_next(["system"], limit=2, worker_id=worker.pk)
    ends = [Ended(job_id=j.pk, token=1, lane_id=j.lane_id, parent_id=None, how=How.DONE) for j in claimed]
    by_id = {end.job_id: end for end in ends}
    settle([end for end in ends if end.job_id != other.pk])
    assert fresh(job).status == Status.PENDING
    settle([by_id[other.pk]])
    run_released()
    assert fresh(job).status == Status.QUEUED


def test_contradictions_are_refused() -> None:
    with pytest.raises(Invalid, match="not both"):
        enqueue(ECHO, Plan(), delay=timedelta(1), scheduled_at=timezone.now())
    late = enqueue(ECHO, Plan(), ordering_key="lane:a", delay=timedelta(hours=1))
    with pytest.raises(Invalid, match="after it in its lane"):
        enqueue(ECHO, Plan(), ordering_key="lane:a", depends_on=[late])


def test_thousands_are_enqueued_in_a_few_statements_in_their_order(config: Callable[..., None]) -> None:
    config(ticket_window=50)
    with CaptureQueriesContext(connection) as statements:
        jobs = enqueue_many(ECHO, [Plan(text=str(n)) for n in range(500)])
    assert (len(jobs), transport().length("system")) == (500, 50)
    assert len(statements) < 40, "SQLite takes some thirty rows in one INSERT, PostgreSQL five hundred"
    for _ in range(10):
        run_next()
    assert kinds.ran == [str(n) for n in range(10)]


def test_many_of_one_lane_are_numbered_and_run_one_after_another() -> None:
    jobs = enqueue_many(ECHO, [Plan(text=str(n)) for n in range(20)], scope="test:1", ordering_key="lane:a")
    assert [job.status for job in jobs] == [Status.QUEUED] + [Status.PENDING] * 19
    positions = JobEvent.objects.filter(scope__key="test:1").order_by("seq").values_list("data__position", flat=True)
    assert list(positions) == list(range(20))
    run_until_idle()
    assert kinds.ran == [str(n) for n in range(20)]


def test_one_wrong_payload_refuses_them_all_and_names_its_index() -> None:
    with pytest.raises(Invalid) as caught:
        enqueue_many(ECHO, [{"text": "a"}, {"seconds": "x"}])
    assert set(caught.value.extra["fields"]) == {"1.seconds"}
    assert not Job.objects.exists()


def test_a_job_that_keeps_killing_its_process_is_dead_with_reason_poison() -> None:
    job = enqueue(ECHO, Plan())
    worker = leases.register(name="a", queues=["system"], slots=1)
    for strike in range(1, 4):
        (claimed,) = leases.claim_next(["system"], limit=1, worker_id=worker.pk)
        settle([Ended(job_id=job.pk, token=claimed.token, lane_id=None, parent_id=None, how=How.STRUCK)])
        assert fresh(job).strikes == (strike if strike < 3 else 3)
        Job.objects.filter(pk=job.pk, status=Status.SCHEDULED).update(status=Status.QUEUED)
    job = fresh(job)
    assert (job.status, (job.error or {})["code"], job.attempt) == (Status.DEAD, "poison", 1)
