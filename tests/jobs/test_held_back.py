"""Who finds no permit waits for one and for nothing else: not for who never asks, nor behind who came later."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobs import liveness
from jobs.events.ledger import ledger
from jobs.invariants import broken
from jobs.models import Job
from jobs.models_events import JobEvent
from jobs.models_limits import Limit
from jobs.operations import leases, permits
from jobs.operations.enqueue import enqueue_many
from jobs.operations.operator import Operator
from jobs.operations.queues import pause_queue, resume_queue
from jobs.pauses import pauses
from jobs.scheduler.sweep import Sweep
from jobs.states import Status
from jobs.transport import Ticket
from tests.jobs.kinds import ECHO, Plan
from tests.jobs.under_limits import ask, bound, claim, end, held_back, limit
from tests.together import at_once
from tests.touched import rows_read, sqlite_scans

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("nothing_kept")]

Config = Callable[..., None]


def one_held_back(**options: object) -> tuple[Job, Job]:
    """A job that has the only permit, and one that waits for it."""
    ask(1, **options)
    (running,) = claim()
    (waits,) = ask(1, **options)
    assert claim() == []
    assert held_back() == 1
    return running, waits


def test_tickets_in_a_queue_that_no_worker_serves_keep_nobody_out() -> None:
    limit("openai", 1)
    running, waits = one_held_back(concurrency_key="openai")
    ask(3, concurrency_key="openai", queue="assets")
    end(running)
    assert [job.pk for job in claim()] == [waits.pk]


def test_who_was_let_in_where_no_worker_serves_keeps_nobody_out_either() -> None:
    limit("openai", 1)
    ask(5, concurrency_key="openai", queue="assets")
    (running,) = claim(queue="assets")
    (waits,) = ask(1, concurrency_key="openai")
    assert claim() == claim(queue="assets") == []
    end(running)
    assert [job.pk for job in claim()] == [waits.pk]


def test_permits_are_not_handed_to_a_queue_that_is_paused_until_it_is_resumed() -> None:
    limit("openai", 1)
    ask(1, concurrency_key="openai")
    (running,) = claim()
    ask(30, concurrency_key="openai", queue="assets")
    assert claim(queue="assets") == []
    (waits,) = ask(1, concurrency_key="openai")
    assert claim() == []
    staff = Operator(user=User.objects.create_superuser("staff"), via="admin")
    pause_queue("assets", by=staff)
    end(running)
    assert set(Job.objects.exclude(held_back_by="").values_list("queue", flat=True)) == {"assets"}
    assert held_back() == 30
    (running,) = claim()
    assert running.pk == waits.pk
    end(running)
    resume_queue("assets", by=staff)
    Sweep()()
    assert len(claim(queue="assets")) == 1


def test_who_was_held_back_first_comes_before_those_who_asked_later() -> None:
    bound(concurrency=1)
    ask(1, scope="game:a")
    (running,) = claim()
    (first,) = ask(1, scope="game:b")
    assert claim() == []
    enqueue_many(ECHO, [Plan()] * 100, scope="game:a")
    end(running)
    assert [job.pk for job in claim(limit=1)] == [first.pk]


def test_as_many_are_let_in_as_there_are_permits_however_often_one_looks() -> None:
    bound(concurrency=5)
    enqueue_many(ECHO, [Plan()] * 300)
    running = claim()
    assert held_back() == 95
    claim(limit=300)
    assert held_back() == 295
    end(*running[:2])
    for _ in range(3):
        permits.let_in_all()
    assert held_back() == 293
    assert len(claim()) == 2
    assert held_back() == 293


def test_what_one_limit_has_free_is_for_those_whom_no_other_holds_back() -> None:
    limit("openai", 3)
    limit("openai/gpt-5", 1)
    ask(1, concurrency_key="openai/gpt-5")
    ask(2, concurrency_key="openai/gpt-4")
    running = claim()
    assert len(running) == 3
    waiting = ask(30, concurrency_key="openai/gpt-5")
    (last,) = ask(1, concurrency_key="openai/gpt-4")
    assert claim() == []
    assert Job.objects.filter(held_back_by="openai").count() == 31
    end(*running[1:])
    assert [job.pk for job in claim()] == [last.pk]
    assert Job.objects.filter(held_back_by="openai/gpt-5").count() == 30
    end(running[0])
    assert [job.pk for job in claim()] == [waiting[0].pk]


def test_who_is_held_back_stays_with_the_limit_that_has_nothing_free() -> None:
    bound(concurrency=1)
    limit("openai", 1)
    ask(3, concurrency_key="openai")
    claim()
    Job.objects.exclude(held_back_by="").update(held_back_by="openai")
    permits.let_in_all()
    assert Job.objects.filter(held_back_by="openai").count() == 2


def test_a_key_bounds_its_own_path_and_nothing_that_begins_alike() -> None:
    limit("openai", 1)
    ask(2, concurrency_key="openai2")
    ask(2, concurrency_key="openai/gpt-5")
    running = claim()
    assert sorted(job.concurrency_key for job in running) == ["openai/gpt-5", "openai2", "openai2"]
    ask(1, concurrency_key="openai2")
    end(next(job for job in running if job.concurrency_key == "openai/gpt-5"))
    assert sorted(job.concurrency_key for job in claim()) == ["openai/gpt-5", "openai2"]


def test_the_sweep_lets_in_who_was_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    bound(concurrency=1)
    running, waits = one_held_back()
    with monkeypatch.context() as missed:
        missed.setattr(permits, "let_in", lambda names: None)
        end(running)
    assert claim() == []
    Sweep()()
    assert [job.pk for job in claim()] == [waits.pk]


@pytest.mark.skipif(connection.vendor != "postgresql", reason="nothing overlaps a transaction of SQLite")
@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize("by", ["order", "tickets"])
def test_a_permit_that_is_given_up_while_somebody_is_being_held_back_is_seen_at_once(by: str, alone: bool) -> None:
    worker = leases.register(name="w", queues=["system"], slots=100).pk

    def take(job: Job) -> list[Job]:
        if by == "order":
            return leases.take_next(["system"], limit=1, worker_id=worker, alone=alone).jobs
        return leases.claim([Ticket(job.pk, 0)], worker_id=worker, alone=alone)

    bound(concurrency=1)
    ask(1)
    (running,) = claim()
    (waits,) = ask(1)
    with ledger():
        assert take(waits) == []
        at_once(lambda: end(running))  # it sees nobody who is held back, as that is not committed
    assert held_back() == 0
    assert take(waits) == [waits]


def test_nobody_is_said_to_be_held_back_for_nothing_who_waits_for_a_permit_or_whose_queue_is_paused() -> None:
    bound(concurrency=1)
    running, waits = one_held_back()
    long_ago = timezone.now() - timedelta(days=1)
    JobEvent.objects.update(at=long_ago)
    Limit.objects.update(enforced_since=long_ago)
    Job.objects.filter(pk=waits.pk).update(queued_at=long_ago)
    assert liveness.nobody_is_held_back_for_nothing() == []
    Job.objects.filter(pk=running.pk).update(status=Status.COMPLETED)
    assert liveness.nobody_is_held_back_for_nothing() == [{"id": waits.pk, "held_back_by": "queue:system"}]
    pause_queue("system", by=Operator(user=User.objects.create_superuser("staff"), via="admin"))
    assert liveness.nobody_is_held_back_for_nothing() == []


@pytest.mark.parametrize("key", ["", "slow"])
def test_a_limit_taken_away_that_held_nobody_back_is_no_more(config: Config, key: str) -> None:
    config(queue_settings_seconds=0.001)

    def allow(most: int | None) -> None:
        limit("slow", most) if key else bound(concurrency=most)

    allow(1)
    ask(1, concurrency_key=key)
    assert len(claim()) == 1
    allow(None)
    permits.let_in_all()
    assert not Limit.objects.filter(enforced__isnull=False).exists()
    ask(3, concurrency_key=key)
    assert len(claim()) == 3
    allow(1)
    ask(1, concurrency_key=key)
    assert claim() == []
    assert broken(liveness=False) == {}


def test_an_end_costs_as_many_statements_however_many_wait_for_it(config: Config) -> None:
    config(tick_seconds=60, queue_settings_seconds=60)  # what a process asks once in a while is asked once
    pauses.forget()

    def cost(waiting: int) -> int:
        (running,) = claim(limit=1)
        enqueue_many(ECHO, [Plan()] * waiting)
        claim(limit=waiting)
        assert held_back() == waiting
        with CaptureQueriesContext(connection) as queries:
            end(running)
        end(*claim())
        Job.objects.all().delete()
        return len(queries)

    bound(concurrency=1)
    ask(1)
    few = cost(2)
    ask(1)
    assert cost(99) == few


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite does not count what it reads")
def test_of_those_held_back_only_the_first_are_looked_at_however_many_they_are() -> None:
    limit("slow", 1)
    one_held_back(concurrency_key="slow")

    def looked_at(do: Callable[[], object]) -> int:
        before = rows_read("jobs_job")
        do()
        return rows_read("jobs_job") - before

    def both(waiting: int) -> tuple[int, int]:
        ask(waiting, concurrency_key="slow")
        Job.objects.filter(status=Status.QUEUED).update(held_back_by="slow", ticketed=False)
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE jobs_job")  # what is known of many must not make it read them all
        return looked_at(permits.let_in_all), looked_at(lambda: permits.let_in({"slow"}))

    few, many = both(permits.RELEASE_BATCH), both(2000)
    assert max(many) < max(few) + permits.RELEASE_BATCH


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL is asked how many rows it has read")
def test_sqlite_too_finds_by_index_who_is_held_back_and_who_holds_a_permit() -> None:
    limit("slow", 1)

    def under_limits() -> None:
        running, waits = one_held_back(concurrency_key="slow")
        assert permits.let_in_all() == 1
        end(running)
        assert claim() == [waits]

    assert sqlite_scans("jobs_job", under_limits) == []
