"""What every job passes through costs a few statements for however many there are, and one trip to Redis."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from jobs import queue_settings, statements
from jobs.failpoints import FailpointRaised, arm, disarm
from jobs.models import Job
from jobs.models_events import JobEvent
from jobs.operations import dispatch, hot, leases
from jobs.operations.enqueue import enqueue, enqueue_many
from jobs.operations.outcomes import settle
from jobs.operations.transitions import lock
from jobs.pauses import pauses
from jobs.scheduler.due import run_due
from jobs.states import Status
from jobs.transport import Ticket, connect, transport
from jobs.worker.rq import RegisteredWorker
from tests.jobs.in_sets import claimed, ends, every_limit
from tests.jobs.kinds import ECHO, Plan
from tests.touched import directly

pytestmark = pytest.mark.django_db(transaction=True)


def counted(do: Callable[[], Any]) -> int:
    """How many statements it takes, but for the edges of its transaction."""
    with CaptureQueriesContext(connection) as queries:
        do()
    return sum(not query["sql"].startswith(("BEGIN", "COMMIT")) for query in queries)


def commands(do: Callable[[], Any]) -> dict[str, int]:
    """Which commands Redis gets, and how often, by its own count."""
    client = connect()

    def calls() -> Counter[str]:
        said = client.info("commandstats")
        return Counter({name.removeprefix("cmdstat_"): each["calls"] for name, each in said.items()})

    calls()  # has connected
    before = calls()
    do()
    counted = calls() - before
    del counted["info"]
    return dict(counted)


@pytest.fixture(autouse=True)
def _warm(config: Callable[..., None]) -> Iterator[None]:
    """What a process asks once in a while is asked."""
    config(tick_seconds=60, queue_settings_seconds=60)
    pauses.forget()
    queue_settings.forget()
    transport().empty("system")
    settle(ends(claimed([enqueue(ECHO, Plan())])))
    yield
    queue_settings.forget()


ONE = 1 if connection.vendor == "postgresql" else 2
"""A change of jobs and what their timelines tell of it: SQLite can't do both in one statement."""


def test_one_job_costs_one_statement_to_enqueue() -> None:
    assert counted(lambda: enqueue(ECHO, Plan())) == ONE


def test_a_recorded_job_is_the_one_that_was_made_and_else_as_the_model_begins() -> None:
    made = enqueue(ECHO, Plan(text="a"), priority=3, backoff=[1, 2])
    recorded = Job.objects.get(pk=made.pk)
    begin = Job()
    for field in Job._meta.concrete_fields:
        value = getattr(recorded, field.attname)
        assert value == getattr(made, field.attname), field.attname
        if field.column in hot._LATER:
            assert value == getattr(begin, field.attname), field.attname


@pytest.mark.parametrize(
    "options",
    [
        {"scope": "test:1"},
        {"ordering_key": "lane:1"},
        {"tags": ["red"]},
        {"depends_on": "another"},
        {"unique": "one"},
        {"idempotency_key": "one", "owner": "somebody"},
    ],
    ids=lambda options: next(iter(options)),
)
def test_a_job_that_is_more_than_a_row_is_recorded_whole_or_not_at_all(options: dict[str, Any]) -> None:
    other = enqueue(ECHO, Plan())
    values = {"another": [other], "somebody": User.objects.create(username="somebody")}
    given: dict[str, Any] = {k: values.get(v, v) if isinstance(v, str) else v for k, v in options.items()}
    arm("in_enqueue", failed)
    with pytest.raises(FailpointRaised):
        enqueue(ECHO, Plan(), **given)
    disarm()
    assert Job.objects.latest("pk") == other


def test_a_job_that_is_a_row_takes_no_transaction() -> None:
    with CaptureQueriesContext(connection) as queries:
        enqueue(ECHO, Plan())
        claimed_alone = leases.claim(
            [Ticket(Job.objects.latest("pk").pk, 0)],
            worker_id=leases.register(name="w", queues=["system"], slots=1).pk,
            alone=True,
        )
        settle(ends(claimed_alone))
    begun = sum(query["sql"].startswith("BEGIN") for query in queries)
    assert begun == (0 if connection.vendor == "postgresql" else 3)
    assert Job.objects.latest("pk").status == Status.COMPLETED


def in_order_of(jobs: list[Job]) -> list[int]:
    return [job.pk for job in jobs]


def test_what_is_next_is_claimed_in_one_statement_in_the_queues_order() -> None:
    last, *jobs = [enqueue(ECHO, Plan(), priority=priority) for priority in (2, 1, 1, 0)]
    worker = leases.register(name="w", queues=["system"], slots=100)
    found: list[Job] = []
    with CaptureQueriesContext(connection) as queries:
        found += leases.take_next(["llm", "system"], limit=3, worker_id=worker.pk, alone=True).jobs
    assert sum(not query["sql"].startswith(("BEGIN", "COMMIT")) for query in queries) == ONE
    assert in_order_of(found) == in_order_of([jobs[2], jobs[0], jobs[1]])
    assert {(job.status, job.token, job.worker_id) for job in found} == {(Status.RUNNING, 1, worker.pk)}
    assert JobEvent.objects.filter(event="job.started", job__in=found).count() == 3
    assert leases.take_next(["system"], limit=3, worker_id=worker.pk, alone=True).jobs == [last]


def test_of_what_is_next_those_with_a_scope_are_claimed_too_and_their_start_is_told() -> None:
    jobs = [enqueue(ECHO, Plan(), scope=scope) for scope in ("", "test:1", "", "test:1")]
    worker = leases.register(name="w", queues=["system"], slots=100)
    found = leases.take_next(["system"], limit=4, worker_id=worker.pk, alone=True).jobs
    assert sorted(in_order_of(found)) == in_order_of(jobs)
    told = JobEvent.objects.filter(event="request.processing").order_by("seq")
    assert [event.job_id for event in told] == [jobs[1].pk, jobs[3].pk]


def test_what_is_next_is_claimed_without_tickets_only_where_that_is_asked() -> None:
    ticketed, bare = enqueue_many(ECHO, [Plan()] * 2)
    Job.objects.filter(pk=bare.pk).update(ticketed=False)
    worker = leases.register(name="w", queues=["system"], slots=100)
    take = partial(leases.take_next, ["system"], limit=4, worker_id=worker.pk, alone=True)
    assert take(ticketed=[False]).jobs == [bare]
    assert take().jobs == [ticketed]


def test_where_limits_hold_what_is_next_is_claimed_within_them() -> None:
    every_limit(2)
    jobs = enqueue_many(ECHO, [Plan()] * 5, concurrency_key="openai/gpt-5")
    worker = leases.register(name="w", queues=["system"], slots=100)
    found = leases.take_next(["system"], limit=5, worker_id=worker.pk, alone=True).jobs
    assert in_order_of(found) == in_order_of(jobs[:2])


def test_under_limits_that_let_all_in_what_is_next_is_found_and_claimed_in_one_trip() -> None:
    every_limit(200)
    last, *jobs = [enqueue(ECHO, Plan(), priority=priority) for priority in (2, 1, 1, 0)]
    worker = leases.register(name="w", queues=["system"], slots=100)
    found: list[Job] = []
    with CaptureQueriesContext(connection) as queries:
        found += leases.take_next(["llm", "system"], limit=3, worker_id=worker.pk, alone=True).jobs
    assert len(queries) == (1 if connection.vendor == "postgresql" else 2 + 4)
    assert in_order_of(found) == in_order_of([jobs[2], jobs[0], jobs[1]])
    assert {(job.status, job.token, job.worker_id) for job in found} == {(Status.RUNNING, 1, worker.pk)}
    assert leases.take_next(["system"], limit=3, worker_id=worker.pk, alone=True).jobs == [last]


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite plans each time")
@pytest.mark.parametrize("alone", [True, False])
def test_a_plan_that_was_made_since_the_others_were_forgotten_is_made_again_with_them(alone: bool) -> None:
    every_limit(200)
    worker = leases.register(name="w", queues=["system"], slots=100)
    jobs = enqueue_many(ECHO, [Plan()] * 3)
    statements.ask("DEALLOCATE ALL")
    found = leases.claim([Ticket(jobs[0].pk, 0)], worker_id=worker.pk, alone=True)
    statements.ask("DEALLOCATE ALL")
    with nullcontext() if alone else transaction.atomic():
        found += leases.take_next(["system"], limit=2, worker_id=worker.pk, alone=True).jobs
    assert in_order_of(found) == in_order_of(jobs)


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite compiles nothing")
def test_postgresql_compiles_nothing_for_a_worker_however_dear_it_takes_reading_a_table_of_few_rows() -> None:
    assert directly(lambda: statements.ask("SELECT current_setting('jit')")) == [("off",)]


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer at a time")
def test_the_marks_of_lost_tickets_are_forgotten_without_waiting_for_a_job_that_is_being_claimed() -> None:
    locked, lost = enqueue_many(ECHO, [Plan()] * 2)

    def forget() -> int:
        statements.ask("SET lock_timeout = '5s'")
        return dispatch.clear_marks("system")

    with transaction.atomic():
        lock([locked.pk])
        assert directly(forget) == 1
    assert Job.objects.get(ticketed=False, status=Status.QUEUED) == lost


def test_a_heartbeat_holds_no_lock_from_one_trip_to_the_next() -> None:
    worker = leases.register(name="w", queues=["system"], slots=1)
    with CaptureQueriesContext(connection) as queries:
        assert leases.beat(worker.pk)
    begun = sum(query["sql"].startswith("BEGIN") for query in queries)
    assert begun == (0 if connection.vendor == "postgresql" else 1)


def failed() -> None:
    raise FailpointRaised


def test_a_thousand_cost_no_more_than_one() -> None:
    assert counted(lambda: enqueue_many(ECHO, [Plan()] * 1000)) == ONE


@pytest.mark.parametrize("count", [1, 100])
def test_a_claim_and_an_end_cost_one_statement_each(count: int) -> None:
    jobs = enqueue_many(ECHO, [Plan()] * count)
    worker = leases.register(name="w", queues=["system"], slots=100)
    tickets = [Ticket(job.pk, job.token) for job in jobs]
    found: list[Job] = []
    assert counted(lambda: found.extend(leases.claim(tickets, worker_id=worker.pk))) == ONE
    assert [job.pk for job in found] == [job.pk for job in jobs]
    assert counted(lambda: settle(ends(found))) == ONE
    assert Job.objects.filter(status=Status.COMPLETED).count() == count + 1
    assert JobEvent.objects.filter(event="job.completed").count() == count + 1


@pytest.mark.parametrize("count", [1, 100])
def test_under_every_limit_a_claim_is_still_one_trip_and_its_own_transaction(count: int) -> None:
    every_limit(200)
    jobs = enqueue_many(ECHO, [Plan()] * count, concurrency_key="openai/gpt-5")
    worker = leases.register(name="w", queues=["system"], slots=100)
    tickets = [Ticket(job.pk, job.token) for job in jobs]
    found: list[Job] = []
    with CaptureQueriesContext(connection) as queries:
        found += leases.claim(tickets, worker_id=worker.pk, alone=True)
    assert len(queries) == (1 if connection.vendor == "postgresql" else 2 + 3)
    assert [job.pk for job in found] == [job.pk for job in jobs]
    assert JobEvent.objects.filter(event="job.started", job__in=jobs).count() == count
    assert counted(lambda: settle(ends(found))) == ONE + 1  # is anybody held back?


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite plans each time")
@pytest.mark.parametrize("alone", [True, False])
def test_a_claim_under_limits_is_planned_once_for_a_connection_and_again_when_that_is_forgotten(alone: bool) -> None:
    every_limit(200)
    worker = leases.register(name="w", queues=["system"], slots=100)
    for n in range(8):  # PostgreSQL keeps a plan from the sixth time on
        jobs = enqueue_many(ECHO, [Plan()] * 3, concurrency_key="openai/gpt-5")
        if n == 4:
            statements.ask("DEALLOCATE ALL")
        found = leases.claim([Ticket(job.pk, 0) for job in jobs], worker_id=worker.pk, alone=alone)
        assert [job.pk for job in found] == [job.pk for job in jobs]
    assert planned() == 2


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite plans each time")
def test_a_plan_that_fits_the_table_no_more_is_made_anew_also_where_nothing_is_rolled_back() -> None:
    def change(length: Any) -> list[Any]:
        return statements.ask(f"ALTER TABLE jobs_job ALTER COLUMN status TYPE varchar({length})")

    try:
        enqueue(ECHO, Plan())
        directly(partial(change, 99))
        enqueue(ECHO, Plan())
    finally:
        directly(partial(change, Job._meta.get_field("status").max_length))
    enqueue(ECHO, Plan())
    assert Job.objects.filter(status=Status.QUEUED).count() == 3


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite plans each time")
@pytest.mark.parametrize("limited", [False, True])
def test_what_is_next_is_claimed_by_a_plan_that_is_kept_however_many_are_asked_for(limited: bool) -> None:
    if limited:
        every_limit(200)
    worker = leases.register(name="w", queues=["system"], slots=100)
    enqueue_many(ECHO, [Plan()] * 3000, concurrency_key="openai/gpt-5")
    statements.ask("ANALYZE jobs_job")

    def work() -> list[tuple[Any, ...]]:
        for limit in range(1, 41):
            found = leases.take_next(["system"], limit=limit, worker_id=worker.pk, alone=True).jobs
            assert len(found) == limit
            settle(ends(found))
        return statements.ask("SELECT statement FROM pg_prepared_statements WHERE custom_plans > 5")

    assert directly(work) == []


def planned() -> int:
    """How many statements this connection has planned by a name in SQL: one locks limits, one claims."""
    ((count,),) = statements.ask("SELECT count(*) FROM pg_prepared_statements WHERE from_sql")
    return int(count)


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite plans each time")
def test_where_nothing_may_be_prepared_a_claim_under_limits_is_not(config: Callable[..., None]) -> None:
    config(database_prepare=False)
    statements.ask("DEALLOCATE ALL")
    every_limit(200)
    jobs = enqueue_many(ECHO, [Plan()] * 3, concurrency_key="openai/gpt-5")
    assert [job.pk for job in claimed(jobs)] == [job.pk for job in jobs]
    assert planned() == 0


def test_who_is_held_back_is_not_asked_for_again() -> None:
    every_limit(2)
    jobs = enqueue_many(ECHO, [Plan()] * 5, concurrency_key="openai/gpt-5")
    worker = leases.register(name="w", queues=["system"], slots=100)
    tickets = [Ticket(job.pk, job.token) for job in jobs]
    found: list[Job] = []
    assert counted(lambda: found.extend(leases.claim(tickets, worker_id=worker.pk, alone=True))) <= 4
    assert [job.pk for job in found] == [job.pk for job in jobs[:2]]
    assert Job.objects.filter(held_back_by="queue:system").count() == 3


def test_jobs_with_lanes_and_scopes_end_in_as_many_statements_however_many_they_are() -> None:
    def batch(count: int) -> int:
        jobs = [enqueue(ECHO, Plan(), scope=f"test:{n}", ordering_key=f"lane:{n}") for n in range(count) for _ in "ab"]
        heads = claimed(jobs)
        assert len(heads) == count
        cost = counted(lambda: settle(ends(heads)))
        settle(ends(claimed([Job.objects.get(pk=job.pk) for job in jobs if job not in heads])))
        return cost

    assert batch(2) == batch(20)


def connected() -> RegisteredWorker:
    """A worker that has found an empty list."""
    transport().empty("system")
    worker = RegisteredWorker(["system"], name="w")
    assert worker.pop(1, wait=False) == []
    return worker


@pytest.mark.parametrize("count", [1, 100])
def test_jobs_cost_one_command_to_call_one_to_pop_and_none_to_claim_and_end(count: int) -> None:
    worker = connected()
    jobs: list[Job] = []
    assert commands(lambda: jobs.extend(enqueue_many(ECHO, [Plan()] * count))) == {"rpush": 1}
    tickets: list[Ticket] = []
    assert commands(lambda: tickets.extend(worker.pop(100, wait=True) or ())) == {"lpop": 1}
    assert [ticket.job_id for ticket in tickets] == [job.pk for job in jobs]
    assert commands(lambda: settle(ends(claimed(jobs)))) == {}
    assert Job.objects.filter(status=Status.COMPLETED).count() == count + 1


def test_a_worker_that_finds_nothing_waits_in_redis_itself(config: Callable[..., None]) -> None:
    config(poll_seconds=0.01)
    worker = connected()
    assert commands(lambda: worker.pop(100, wait=True)) == {"lpop": 1, "blpop": 1}


def test_a_job_called_by_itself_costs_one_command() -> None:
    assert commands(lambda: enqueue(ECHO, Plan())) == {"rpush": 1}


def test_jobs_that_fall_due_together_cost_as_many_statements_as_one() -> None:
    def due(count: int) -> int:
        for number in range(count):
            enqueue(ECHO, Plan(), scope=f"game:{number}", delay=timedelta(hours=1))
        Job.objects.filter(status=Status.SCHEDULED).update(scheduled_at=Now() - timedelta(seconds=1))
        return counted(run_due)

    assert due(20) == due(1)
    assert not Job.objects.filter(status=Status.SCHEDULED).exists()


@pytest.mark.parametrize("count", [1, 20])
def test_however_many_begun_ones_get_another_priority_each_line_is_looked_at_once(count: int) -> None:
    jobs = claimed(enqueue_many(ECHO, [Plan()] * count))
    claimed([enqueue(ECHO, Plan(), priority=5, fair_key="other") for _ in range(3)])
    for job in jobs:
        job.priority = 5
    assert counted(lambda: hot.fall_in(jobs)) == 2
    assert {job.rank for job in jobs} == {Job.objects.filter(priority=5, fair_key="other").latest("pk").rank}
