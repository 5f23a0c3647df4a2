"""The same promises on every pair of database and transport."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from itertools import accumulate
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Now
from pytest_django import Settings

from accounts.threads import in_thread
from approvals.models import Approval
from approvals.operations import decide
from jobs import invariants, queue_settings
from jobs.errors import Conflict, Refused
from jobs.events.ledger import ledger
from jobs.memory_transport import MemoryTransport
from jobs.models import Job, Scope, Worker
from jobs.models_events import JobEvent
from jobs.models_limits import Limit
from jobs.models_metrics import QueueSettings
from jobs.models_steps import JobLog, JobStep
from jobs.operations import answers, callbacks, controls
from jobs.operations.enqueue import enqueue_many
from jobs.operations.operator import Operator
from jobs.operations.queues import pause_queue, resume_queue
from jobs.operations.transitions import lock
from jobs.pauses import pauses
from jobs.states import Status
from jobs.streams import hub
from jobs.streams.rows import Row
from jobs.transport import Push, Ticket, transport
from queueproject.transport import transport as carried_by
from tests.cast import assemble
from tests.conformance.kinds import Task
from tests.conformance.pairs import NOWHERE, PAIRS, Bed, Pair, noted, order_of
from tests.processes import database_url
from tests.waiting import wait_until

SOON = timedelta(seconds=0.3)
DATABASE = "postgres" if os.environ.get("TEST_DATABASE") == "postgres" else "sqlite"


@pytest.fixture(params=[pair for pair in PAIRS if pair.database == DATABASE], ids=str)
def pair(request: pytest.FixtureRequest, settings: Settings, config: Callable[..., None]) -> Iterator[Pair]:
    """Each pair that this half of the tests has the database for."""
    chosen: Pair = request.param
    config(queue_transport=chosen.transport)
    if not chosen.redis:
        config(redis_url=NOWHERE)
    settings.CHANNEL_LAYERS, settings.TRANSPORT = carried_by(settings.CONFIG)
    transport.cache_clear()
    yield chosen
    transport.cache_clear()


@pytest.fixture
def bed(transactional_db: None, pair: Pair, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bed]:
    """A queue on the pair; at the end everything that must hold, holds."""
    monkeypatch.setenv("DATABASE_URL", database_url())  # for the processes of isolated jobs
    pauses.forget()
    queue_settings.forget()
    bed = Bed(pair)
    yield bed
    bed.stop()
    assert invariants.broken(liveness=False) == {}
    for scope in Scope.objects.all():
        numbers = JobEvent.objects.filter(scope=scope).order_by("seq").values_list("seq", flat=True)
        assert list(numbers) == list(range(1, scope.head + 1)), scope


def test_the_pair_is_what_it_says(bed: Bed) -> None:
    bed.start()
    assert connection.vendor.startswith(bed.pair.database)
    assert (transport().length("system") is None) == (bed.pair.transport == "redis" and not bed.pair.redis)
    assert isinstance(transport(), MemoryTransport) == (bed.pair.transport == "memory")
    assert (bed.end_of(bed.ask("process_id")).result != os.getpid()) == bed.pair.isolated


def test_a_job_runs_once_its_transaction_has_committed(bed: Bed) -> None:
    bed.start()
    with transaction.atomic():
        job = bed.ask(text="hello")
    assert (bed.end_of(job).status, bed.end_of(job).result) == (Status.COMPLETED, "hello")


def test_a_job_of_a_transaction_that_fails_never_was(bed: Bed) -> None:
    bed.start()
    with suppress(ZeroDivisionError), transaction.atomic():
        bed.ask(text="never")
        raise ZeroDivisionError
    bed.end_of(bed.ask(text="then"))
    assert order_of("job.completed") == ["then"]


def test_jobs_of_a_lane_end_in_the_order_they_were_asked_for_whatever_happens_to_them(bed: Bed) -> None:
    bed.start()
    deeds = ["echo", "second_attempt", "snooze", "nap", "hopeless", "network", "echo"]
    jobs = [bed.ask(deed, text=str(n), seconds=0.05, ordering_key="lane:a") for n, deed in enumerate(deeds)]
    statuses = [job.status for job in bed.ends_of(*jobs)]
    assert statuses == [Status.COMPLETED] * 4 + [Status.DEAD] + [Status.COMPLETED] * 2
    ends = JobEvent.objects.filter(event__in=["job.completed", "job.dead"]).order_by("id")
    assert list(ends.values_list("job", flat=True)) == [job.pk for job in jobs]


def test_lower_priority_runs_first(bed: Bed) -> None:
    staff = Operator(user=User.objects.create_superuser("staff"), via="admin")
    pause_queue("system", by=staff)
    jobs = [bed.ask(text=text, priority=priority) for text, priority in (("b", 0), ("c", 5), ("a", -5))]
    bed.start(slots=1)
    resume_queue("system", by=staff)
    bed.ends_of(*jobs)
    assert order_of("job.completed") == ["a", "b", "c"]


def test_a_delayed_job_runs_when_its_time_has_come(bed: Bed) -> None:
    bed.start()
    job = bed.ask(delay=SOON)
    assert job.status == Status.SCHEDULED
    done = bed.end_of(job)
    assert done.started_at
    assert job.scheduled_at
    assert done.started_at >= job.scheduled_at


def test_a_failed_attempt_is_followed_by_another(bed: Bed) -> None:
    bed.start()
    done = bed.end_of(bed.ask("second_attempt", backoff=[0.1]))
    assert (done.result, done.attempt, noted(done, "job.retried")) == ("recovered", 2, 1)


def test_a_snooze_is_no_attempt(bed: Bed) -> None:
    bed.start()
    done = bed.end_of(bed.ask("snooze"))
    assert (done.result, noted(done, "job.snoozed")) == ("attempt 1", 1)


def test_a_job_that_waits_for_its_turn_is_called_off(bed: Bed) -> None:
    bed.start()
    first = bed.ask("receive", ordering_key="lane:a")
    second, third = bed.ask(ordering_key="lane:a"), bed.ask(ordering_key="lane:a")
    bed.until(first, Status.WAITING)
    controls.cancel(second.pk)
    controls.cancel(first.pk)
    assert [job.status for job in bed.ends_of(first, second, third)] == [
        Status.CANCELLED,
        Status.CANCELLED,
        Status.COMPLETED,
    ]


def test_a_running_job_is_called_off(bed: Bed) -> None:
    bed.start()
    job = bed.ask("network", seconds=60)
    bed.until(job, Status.RUNNING)
    controls.cancel(job.pk)
    assert bed.end_of(job).status == Status.CANCELLED


@pytest.mark.parametrize(("deed", "seconds"), [("network", 60.0), ("stuck", 1.5)])
def test_a_job_that_takes_too_long_is_failed(bed: Bed, deed: str, seconds: float) -> None:
    bed.start()
    dead = bed.end_of(bed.ask(deed, seconds=seconds, timeout=timedelta(seconds=0.5), max_attempts=1))
    assert (dead.status, (dead.error or {}).get("code")) == (Status.DEAD, "timeout")


def test_a_job_that_is_not_started_in_time_expires(bed: Bed) -> None:
    bed.start()
    first = bed.ask("receive", ordering_key="lane:a")
    late = bed.ask(ordering_key="lane:a", expires_in=SOON)
    assert bed.end_of(late).status == Status.EXPIRED
    controls.cancel(bed.until(first, Status.WAITING).pk)
    bed.end_of(first)


def test_a_dead_job_is_run_again(bed: Bed) -> None:
    bed.start()
    job = bed.end_of(bed.ask("second_run", scope="test:1"))
    assert (job.status, (job.error or {})["code"]) == (Status.DEAD, "no_way")
    controls.revive(job.pk)
    done = bed.until(job, Status.COMPLETED)
    assert (done.result, done.run) == ("recovered", 2)


@pytest.mark.parametrize(
    ("decision", "said", "result"),
    [
        ("accept", {}, ["accept", "a draft"]),
        ("modify", {"text": "an edited draft"}, ["modify", "an edited draft"]),
        ("reject", {"reason": "too dark"}, ["reject", "too dark"]),
    ],
)
def test_a_person_decides(bed: Bed, decision: str, said: dict[str, Any], result: list[str]) -> None:
    cast = assemble()
    bed.start()
    job = bed.ask("ask", text="a draft", owner=cast.player1, scope=cast.game.scope_key)
    assert bed.until(job, Status.WAITING).request_status == "awaiting_approval"
    approval = Approval.objects.get(job=job)
    decide(user=cast.dm, approval_id=approval.pk, version=1, decision=decision, **said)
    assert bed.end_of(job).result == result


def test_another_system_answers(bed: Bed) -> None:
    bed.start()
    job = bed.until(bed.ask("callback"), Status.WAITING)
    token = callbacks.token_of(job, JobStep.objects.get(job=job, name="paid"))
    callbacks.deliver(token, {"paid": 5}, headers={}, body=b"")
    assert bed.end_of(job).result == {"paid": 5}


def test_an_answer_that_comes_early_is_kept(bed: Bed) -> None:
    job = bed.ask("receive")
    with ledger() as book:
        assert answers.give(book, lock([job.pk])[job.pk], name="news", answer="early")
    bed.start()
    assert bed.end_of(job).result == "early"


def test_a_sleeper_wakes(bed: Bed) -> None:
    bed.start()
    done = bed.end_of(bed.ask("nap", seconds=0.2))
    assert (done.result, done.token) == ("rested", 2)


def test_a_job_calls_others(bed: Bed) -> None:
    bed.start()
    done = bed.end_of(bed.ask("call", text="abc", scope="test:1"))
    assert done.result == ["a", "b", "c", "last"]
    assert done.children.count() == 4


def test_a_unique_job_is_the_same_one_while_it_is_open(bed: Bed) -> None:
    bed.start()
    first = bed.ask("receive", unique="nightly")
    bed.until(first, Status.WAITING)
    assert bed.ask("receive", unique="nightly").pk == first.pk
    controls.cancel(first.pk)
    assert bed.end_of(bed.ask(unique="nightly")).pk != first.pk


def test_an_idempotency_key_makes_one_job(bed: Bed) -> None:
    bed.start()
    user = User.objects.create_user("ann")
    first = bed.end_of(bed.ask(text="a", owner=user, idempotency_key="k"))
    assert bed.ask(text="a", owner=user, idempotency_key="k").pk == first.pk
    with pytest.raises(Conflict):
        bed.ask(text="b", owner=user, idempotency_key="k")


def test_no_more_jobs_of_a_key_run_at_once_than_its_limit_allows(bed: Bed) -> None:
    Limit.objects.create(key="slow", concurrency=1)
    queue_settings.forget()
    bed.start()
    bed.ends_of(*[bed.ask("network", seconds=0.05, concurrency_key="slow") for _ in range(4)])
    told = JobEvent.objects.filter(event__in=["job.started", "job.completed"]).order_by("id")
    assert list(told.values_list("event", flat=True)) == ["job.started", "job.completed"] * 4


def test_no_more_jobs_run_at_once_than_a_queue_and_a_key_of_theirs_allow(bed: Bed) -> None:
    QueueSettings.objects.create(queue=bed.kind.queue, concurrency=2)
    Limit.objects.create(key="slow", concurrency=1)
    queue_settings.forget()
    bed.start()
    keys = ["slow/a", "slow/b", "", ""] * 2
    bed.ends_of(*[bed.ask("network", seconds=0.05, concurrency_key=key) for key in keys])
    told = JobEvent.objects.filter(event__in=["job.started", "job.completed"]).order_by("id")
    steps = [
        (1 if event == "job.started" else -1, key) for event, key in told.values_list("event", "job__concurrency_key")
    ]
    assert max(accumulate(step for step, _ in steps)) == 2
    assert max(accumulate(step for step, key in steps if key)) == 1


def test_who_asks_too_fast_is_told_which_limit_and_when_it_ends(bed: Bed) -> None:
    QueueSettings.objects.create(queue=bed.kind.queue, rate="3/minute")
    queue_settings.forget()
    jobs = [bed.ask() for _ in range(3)]
    with pytest.raises(Refused) as refused:
        bed.ask()
    assert (refused.value.code, refused.value.extra["limit"]) == ("rate_limited", "system 3/minute in all")
    assert 0 < refused.value.retry_after <= 20
    bed.start()
    bed.ends_of(*jobs)
    assert Job.objects.count() == 3


def test_games_take_turns_however_many_of_each_wait(bed: Bed) -> None:
    staff = Operator(user=User.objects.create_superuser("staff"), via="admin")
    pause_queue("system", by=staff)
    jobs = [bed.ask(text=text, scope=f"test:{text}") for text in "aaaaabbc"]
    bed.start(slots=1)
    resume_queue("system", by=staff)
    bed.ends_of(*jobs)
    assert order_of("job.completed") == list("abcabaaa")


def test_two_workers_share_the_jobs_and_run_none_twice(bed: Bed) -> None:
    bed.start(slots=2)
    bed.start(slots=2)
    jobs = [bed.ask("network", seconds=0.2) for _ in range(12)]
    assert {(job.status, job.token) for job in bed.ends_of(*jobs)} == {(Status.COMPLETED, 1)}
    told = JobEvent.objects.filter(event__in=["job.started", "job.completed"]).order_by("id")
    steps = [1 if event == "job.started" else -1 for event in told.values_list("event", flat=True)]
    assert 2 < max(accumulate(steps)) <= 4


def test_jobs_whose_tickets_are_lost_run(bed: Bed) -> None:
    jobs = enqueue_many(bed.kind, [Task(text=str(n)) for n in range(5)])
    transport().empty("system")
    bed.start()
    assert {job.status for job in bed.ends_of(*jobs)} == {Status.COMPLETED}


def test_doubled_stale_and_foreign_tickets_run_nothing_twice(bed: Bed) -> None:
    job = bed.ask("effect", text="once", scope="test:1")
    tickets = [Ticket(job.pk, 0), Ticket(job.pk, 0), Ticket(job.pk, 7), Ticket(10**6, 0)]
    transport().send([Push("system", ticket, front=True) for ticket in tickets], {})
    bed.start()
    bed.end_of(job)
    transport().send([Push("system", Ticket(job.pk, 0)), Push("system", Ticket(job.pk, 1))], {})
    bed.end_of(bed.ask(text="then"))
    assert (Job.objects.get(pk=job.pk).token, JobLog.objects.filter(job=job, text="once").count()) == (1, 1)


def test_who_loses_the_lease_writes_nothing_and_the_job_runs_again(bed: Bed) -> None:
    bed.start()
    job = bed.ask("second_claim", text="once", scope="test:1")
    bed.until(job, Status.RUNNING)

    def rescued() -> bool:
        Worker.objects.filter(jobs=job, jobs__token=1).update(lease_until=Now() - timedelta(days=1))
        return Job.objects.get(pk=job.pk).lease_losses == 1

    wait_until(rescued)
    done = bed.end_of(job)
    assert (done.result, done.attempt) == ("once", 1)
    assert JobLog.objects.filter(job=job, text="once").count() == 1


def test_what_stops_while_jobs_run_hands_them_on(bed: Bed) -> None:
    bed.start()
    job = bed.ask("second_claim", text="once", scope="test:1")
    bed.until(job, Status.RUNNING)
    bed.stop()
    assert Job.objects.get(pk=job.pk).status == Status.QUEUED
    bed.start()
    done = bed.end_of(job)
    assert (done.result, done.attempt, done.lease_losses) == ("once", 1, 0)


def test_many_at_once_leave_no_gap_in_their_scopes_events(bed: Bed) -> None:
    bed.start()
    jobs = [bed.ask("effect", text=str(n), scope=f"test:{n % 2}") for n in range(24)]
    assert {job.status for job in bed.ends_of(*jobs)} == {Status.COMPLETED}
    told = JobEvent.objects.filter(scope__isnull=False, seq__isnull=False)
    assert told.count() == len(jobs) * 4
    assert not told.exclude(seq__lte=F("scope__head")).exists()


async def until_the_end(rows: AsyncIterator[Row]) -> AsyncIterator[Row]:
    async for row in rows:
        yield row
        if row.event == "request.completed":
            return


async def test_those_who_watch_are_told(bed: Bed) -> None:
    job = await in_thread(lambda: bed.ask(text="hello", scope="test:1"))
    async with hub().watch(job.scope_id or 0) as stream:
        bed.start()
        told = [row.event async for row in until_the_end(stream.follow(0))]
    assert told == ["request.queued", "request.processing", "request.completed"]
