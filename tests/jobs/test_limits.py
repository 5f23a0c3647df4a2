"""How many jobs of a queue may run at once, however many claim and however they end."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from random import Random
from threading import Thread
from time import sleep

import pytest
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext

from jobs import failpoints, limits, queue_settings
from jobs.errors import Invalid
from jobs.events.ledger import ledger
from jobs.invariants import broken
from jobs.models import Job
from jobs.operations import admitting, controls, dispatch, leases, permits
from jobs.operations.outcomes import How
from jobs.states import Status
from jobs.transport import Ticket, transport
from jobs.why import Reason, why_waiting
from tests.jobs.under_limits import ask, bound, claim, end, held_back, limit
from tests.locks import waiting_for_locks
from tests.together import at_once
from tests.waiting import wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("nothing_kept")]

Config = Callable[..., None]


def test_a_queue_runs_no_more_than_its_limit_and_the_next_are_let_in_in_order() -> None:
    bound(concurrency=2)
    jobs = ask(5)
    first = claim()
    assert [job.pk for job in first] == [job.pk for job in jobs[:2]]
    assert held_back() == 3
    assert claim() == []
    end(first[0])
    assert [job.pk for job in claim()] == [jobs[2].pk]
    end(first[1])
    assert [job.pk for job in claim()] == [jobs[3].pk]
    assert broken(liveness=False) == {}


@pytest.mark.parametrize("key", ["", "slow/a"])
def test_who_is_there_when_a_limit_is_lowered_may_stay_and_nobody_is_let_in(
    config: Config, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    config(queue_settings_seconds=0.001)

    def allow(most: int) -> None:
        limit("slow", most) if key else bound(concurrency=most)

    allow(3)
    jobs = ask(5, concurrency_key=key)
    assert len(claim()) == 3
    allow(1)
    assert claim() == []
    assert broken() == {}
    end(Job.objects.get(pk=jobs[0].pk))
    monkeypatch.setattr(limits, "in_force", dict)
    Job.objects.update(held_back_by="")
    assert claim()
    assert set(broken(liveness=False)) == {"permits_stay_within_limits"}


def test_a_limit_that_was_taken_away_and_comes_back_finds_nothing_wrong_with_the_time_between(config: Config) -> None:
    config(queue_settings_seconds=0.001)
    bound(concurrency=1)
    ask(5)
    assert len(claim()) == 1
    bound(concurrency=None)
    permits.let_in_all()
    assert len(claim()) == 4
    bound(concurrency=1)
    assert claim() == []
    assert broken() == {}


def test_a_ticket_over_the_limit_is_held_back_and_gets_another_when_there_is_room() -> None:
    bound(concurrency=1)
    one, two = ask(2)
    worker = leases.register(name="w", queues=["system"], slots=9)
    tickets = [dispatch.push(job).ticket for job in (one, two)]
    running = leases.claim(tickets, worker_id=worker.pk)
    assert [job.pk for job in running] == [one.pk]
    transport().empty("system")
    end(*running)
    assert transport().length("system") == 1
    assert [job.pk for job in leases.claim(tickets[1:], worker_id=worker.pk)] == [two.pk]


def test_who_is_held_back_is_told_by_which_limit() -> None:
    bound(concurrency=1)
    _, waits = ask(2)
    claim()
    waits.refresh_from_db()
    why = why_waiting(waits)
    leases.register(name="w", queues=["system"], slots=1)
    assert why is not None
    assert (why.reason, why.text) == (Reason.PERMIT, "queue:system allows 1 at once")


@pytest.mark.parametrize("leave", ["done", "retry", "cancel", "rescue", "hand_back"])
def test_every_way_out_of_running_gives_the_permit_up(leave: str) -> None:
    bound(concurrency=1)
    ask(2)
    (job,) = claim()
    match leave:
        case "done":
            end(job)
        case "retry":
            end(job, how=How.SNOOZED)
        case "cancel":
            controls.cancel(job.pk)
            end(job, how=How.CANCELLED)
        case "hand_back":
            leases.hand_back([(job.pk, job.token)])
        case "rescue":
            type(job.worker)._default_manager.update(lease_until=F("started_at") - timedelta(days=1))  # type: ignore[union-attr]
            leases.rescue()
    assert len(claim(limit=1)) == 1


def test_one_that_is_held_back_can_be_called_off() -> None:
    bound(concurrency=1)
    _, waits = ask(2)
    claim()
    controls.cancel(waits.pk)
    waits.refresh_from_db()
    assert (waits.status, waits.held_back_by) == (Status.CANCELLED, "")


def test_a_limit_that_is_raised_or_taken_away_lets_more_in() -> None:
    bound(concurrency=1)
    ask(5)
    claim()
    bound(concurrency=3)
    permits.let_in_all()
    assert len(claim()) == 2
    bound(concurrency=None)
    permits.let_in_all()
    assert len(claim()) == 2


def test_a_job_can_be_put_into_another_queue_that_exists() -> None:
    (job,) = ask(1, queue="assets")
    assert job.queue == "assets"
    with pytest.raises(Invalid, match="queue: one of"):
        ask(1, queue="nowhere")


def test_without_limits_a_claim_asks_nothing_more() -> None:
    ask(3)
    queue_settings.limits()
    worker = leases.register(name="w", queues=["system"], slots=9)
    with CaptureQueriesContext(connection) as queries:
        leases.claim_next(["system"], limit=3, worker_id=worker.pk)
    assert not [query for query in queries if "limit" in query["sql"].lower().split("limit ")[0]]


@pytest.mark.parametrize("alone", [True, False])
def test_a_limit_holds_when_many_claim_at_once(alone: bool) -> None:
    def take() -> list[Job]:
        worker = leases.register(name="w", queues=["system"], slots=100)
        return leases.take_next(["system"], limit=8, worker_id=worker.pk, alone=alone).jobs

    bound(concurrency=5)
    ask(1)
    end(*claim())  # from the first claim on the row that is locked is there, and says by which limit is admitted
    ask(64)
    failpoints.arm("in_claim", lambda: sleep(0.05))  # so that claims overlap
    claimed = at_once(*[take] * 8)
    assert sum(map(len, claimed)) == 5
    assert Job.objects.filter(status=Status.RUNNING).count() == 5


@pytest.mark.parametrize("by", ["order", "tickets"])
def test_those_with_a_scope_get_their_permits_before_those_behind_them(by: str) -> None:
    bound(concurrency=3)
    jobs = [*ask(3), *ask(1, scope="test:1"), *ask(3)]
    expected = {job.pk for job in Job.objects.in_order()[:3]}
    assert jobs[3].pk in expected  # its scope's first comes before another's second
    worker = leases.register(name="w", queues=["system"], slots=100)
    if by == "order":
        found = leases.take_next(["system"], limit=7, worker_id=worker.pk, alone=True).jobs
    else:
        tickets = [Ticket(job.pk, 0) for job in Job.objects.in_order()]
        found = leases.claim(tickets, worker_id=worker.pk, alone=True)
    assert {job.pk for job in found} == expected
    assert held_back() == 4
    assert broken(liveness=False) == {}


def test_one_with_a_scope_is_not_passed_over_for_ever_by_those_that_come_after() -> None:
    bound(concurrency=1)
    (scoped,) = ask(1, scope="test:1", priority=-5)
    worker = leases.register(name="w", queues=["system"], slots=100)
    ask(2)
    (first,) = leases.take_next(["system"], limit=10, worker_id=worker.pk, alone=True).jobs
    assert first == scoped


@pytest.mark.parametrize("seed", range(6))
def test_many_tickets_at_once_find_the_permits_they_would_find_one_by_one(seed: int) -> None:
    dice = Random(seed)
    free = {"queue:system": dice.randint(4, 12), **{key: dice.randint(1, 4) for key in ("a", "a/x", "a/y", "b")}}
    bound(concurrency=free["queue:system"])
    for key, most in list(free.items())[1:]:
        limit(key, most)
    jobs = [ask(1, concurrency_key=dice.choice(["", "a", "a/x", "a/y", "b", "c"]))[0] for _ in range(20)]
    dice.shuffle(jobs)
    expected = []
    for job in jobs:
        wanted = {"queue:system", *limits.prefixes(job.concurrency_key)} & free.keys()
        if all(free[name] > 0 for name in wanted):
            expected.append(job.pk)
            free = {name: most - (name in wanted) for name, most in free.items()}
    worker = leases.register(name="w", queues=["system"], slots=100)
    found = leases.claim([Ticket(job.pk, 0) for job in jobs], worker_id=worker.pk, alone=True)
    assert [job.pk for job in found] == expected
    assert held_back() == len(jobs) - len(expected)
    assert broken(liveness=False) == {}


@pytest.mark.skipif(connection.vendor != "postgresql", reason="nothing overlaps a transaction of SQLite")
def test_those_who_waited_for_one_limit_see_what_each_other_took() -> None:
    limit("slow", 5)
    jobs = ask(30, concurrency_key="slow/a")
    worker = leases.register(name="w", queues=["system"], slots=100)
    running: list[Job] = []

    def one(part: list[Job]) -> None:
        tickets = [Ticket(job.pk, 0) for job in part]
        running.extend(leases.claim(tickets, worker_id=worker.pk, alone=True))
        connection.close()

    threads = [Thread(target=one, args=[jobs[n::6]]) for n in range(6)]
    with ledger():
        admitting.lock({"slow": 5})
        for thread in threads:
            thread.start()
        wait_until(lambda: waiting_for_locks() == len(threads), what="all wait for the limit")
    for thread in threads:
        thread.join()
    assert len(running) == 5
    assert held_back() == 25
    assert broken(liveness=False) == {}
