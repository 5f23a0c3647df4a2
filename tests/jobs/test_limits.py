"""How many may run at once, how fast and how much one may ask for, and whose turn it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import timedelta
from random import Random
from threading import Barrier, Thread
from time import sleep

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError, connection, transaction
from django.db.models import F
from django.test import Client
from django.test.utils import CaptureQueriesContext

from jobs import failpoints, limits, queue_settings, refusals, sql
from jobs.errors import Invalid, Refused
from jobs.events.ledger import ledger
from jobs.invariants import broken
from jobs.models import Job, Scope
from jobs.models_limits import Bucket
from jobs.models_metrics import QueueSettings, Rollup
from jobs.operations import admission, admitting, controls, dispatch, leases, permits
from jobs.operations.asking import OptionFields
from jobs.operations.enqueue import enqueue, enqueue_many
from jobs.operations.outcomes import How
from jobs.rates import BadRate, Rate, parse_rates
from jobs.states import Status
from jobs.testing import run_next, run_until_idle
from jobs.transport import Ticket, connect, transport
from jobs.why import Reason, why_waiting
from queueproject.env import QueueDefaults
from tests.jobs import kinds
from tests.jobs.kinds import CHILD, ECHO, FAMILY, PARENT, TAGGED, Plan
from tests.jobs.under_limits import ask, bound, claim, end, held_back, limit
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

Config = Callable[..., None]


@pytest.fixture(autouse=True)
def _nothing_kept() -> Iterator[None]:
    kinds.ran.clear()
    queue_settings.forget()
    transport().empty("system")
    yield
    failpoints.disarm()
    queue_settings.forget()


# -- concurrency -------------------------------------------------------------------------------------------------


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


def test_a_permit_of_a_key_is_held_through_waits() -> None:
    limit("openai", 1)
    first = enqueue(PARENT, Plan(text="a"), concurrency_key="openai/gpt-5")
    second = enqueue(ECHO, Plan(), concurrency_key="openai/gpt-4")
    run_next()  # the parent waits for its child now
    first.refresh_from_db()
    assert first.status == Status.WAITING
    assert claim() == []
    second.refresh_from_db()
    assert second.held_back_by == "openai"
    run_until_idle()
    second.refresh_from_db()
    assert second.status == Status.COMPLETED


def test_a_permit_of_a_key_is_held_through_the_backoff() -> None:
    limit("openai", 1)
    ask(2, concurrency_key="openai")
    (job,) = claim()
    assert claim() == []
    end(job, how=How.FAILED)
    job.refresh_from_db()
    assert job.status == Status.SCHEDULED
    permits.let_in_all()
    assert claim() == []
    assert held_back() == 1


def test_two_limits_hold_at_once() -> None:
    limit("openai", 3)
    limit("openai/gpt-5", 1)
    ask(3, concurrency_key="openai/gpt-5")
    ask(4, concurrency_key="openai/gpt-4")
    running = claim()
    assert sorted(job.concurrency_key for job in running) == ["openai/gpt-4"] * 2 + ["openai/gpt-5"]
    assert set(Job.objects.exclude(held_back_by="").values_list("held_back_by", flat=True)) == {
        "openai",
        "openai/gpt-5",
    }


def test_limits_of_the_environment_hold_until_the_admin_says_otherwise(config: Config) -> None:
    config(concurrency_limits={"slow": 1}, queue_settings={"system": QueueDefaults(concurrency=9, max_attempts=7)})
    queue_settings.forget()
    jobs = ask(3, concurrency_key="slow")
    assert jobs[0].max_attempts == 7
    assert len(claim()) == 1
    limit("slow", 2)
    permits.let_in_all()
    assert len(claim()) == 1


def test_a_child_that_needs_its_requests_own_key_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    object.__setattr__(CHILD, "concurrency_key", "openai")
    try:
        job = enqueue(PARENT, Plan(), concurrency_key="openai/gpt-5", max_attempts=1)
        run_next()
    finally:
        object.__setattr__(CHILD, "concurrency_key", "")
    job.refresh_from_db()
    assert job.error
    assert "'openai', which the request itself holds" in job.error["detail"]


@pytest.fixture
def keyed_children() -> Iterator[None]:
    """Two job types that requests call need permits of one limit."""
    object.__setattr__(CHILD, "concurrency_key", "openai/a")
    object.__setattr__(TAGGED, "concurrency_key", "openai/b")
    limit("openai", 1)
    yield
    object.__setattr__(CHILD, "concurrency_key", "")
    object.__setattr__(TAGGED, "concurrency_key", "")


@pytest.mark.usefixtures("keyed_children")
def test_children_of_one_key_are_called_one_after_another_and_again_by_the_next_run() -> None:
    job = enqueue(FAMILY, Plan(do="fail"))
    run_until_idle()
    job.refresh_from_db()
    assert job.error
    assert (job.status, job.error["code"]) == (Status.DEAD, "no_way")
    controls.revive(job.pk, payload={"do": "echo"})
    run_until_idle()
    job.refresh_from_db()
    assert (job.status, job.children.count()) == (Status.COMPLETED, 6)


@pytest.mark.usefixtures("keyed_children")
def test_a_child_of_a_child_is_refused_the_key_that_the_request_holds() -> None:
    enqueue(FAMILY, Plan(do="nest"), concurrency_key="openai/gpt-5")
    run_until_idle()
    error = Job.objects.get(type=PARENT.name).error
    assert error
    assert "'openai', which the request itself holds" in error["detail"]


@pytest.mark.parametrize("key", ["queue:llm", "a//b", "a b", "ü", "/a"])
def test_a_key_that_is_none_is_refused(key: str) -> None:
    with pytest.raises(Invalid, match="concurrency_key: names parted by /"):
        ask(1, concurrency_key=key)


def test_a_job_can_be_put_into_another_queue_that_exists() -> None:
    (job,) = ask(1, queue="assets")
    assert job.queue == "assets"
    with pytest.raises(Invalid, match="queue: one of"):
        ask(1, queue="nowhere")


def test_without_limits_a_claim_asks_nothing_more() -> None:
    ask(3)
    queue_settings.limits()
    worker = leases.register(name="w", queues=["system"], slots=9)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        leases.claim_next(["system"], limit=3, worker_id=worker.pk)
    assert not [query for query in queries if "limit" in query["sql"].lower().split("limit ")[0]]


def test_a_limit_holds_when_many_claim_at_once() -> None:
    bound(concurrency=5)
    ask(1)
    end(*claim())  # from the first claim on the row that is locked is there, and says by which limit is admitted
    ask(64)
    failpoints.arm("in_claim", lambda: sleep(0.05))  # so that claims overlap
    barrier, running = Barrier(8), []

    def one() -> None:
        barrier.wait()
        running.extend(claim(limit=8))
        connection.close()

    threads = [Thread(target=one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(running) == 5
    assert Job.objects.filter(status=Status.RUNNING).count() == 5


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


def waiting_for_locks() -> int:
    ((count,),) = sql.ask("SELECT count(*) FROM pg_locks WHERE NOT granted")
    return int(count)


# -- rates and caps ----------------------------------------------------------------------------------------------


def test_rates_are_read_as_people_write_them() -> None:
    assert parse_rates("30/minute, 5/10 seconds,1000/day") == (Rate(30, 60), Rate(5, 10), Rate(1000, 86400))
    for wrong in ("30", "0/minute", "3/fortnight", "x/day", "5/0 seconds"):
        with pytest.raises(BadRate, match="is no rate"):
            parse_rates(wrong)


def test_of_two_rates_of_one_window_the_stricter_holds() -> None:
    assert parse_rates("10/minute, 5/60 seconds, 5/minute, 100/day") == (Rate(5, 60), Rate(100, 86400))
    bound(rate="10/minute, 5/60 seconds")
    ask(5)
    with pytest.raises(Refused):
        ask(1)


def test_a_scope_named_like_a_user_is_not_counted_as_that_user() -> None:
    bound(rate_per_user="4/minute", rate_per_scope="4/minute")
    anna = User.objects.create_user("anna")
    ask(4, owner=anna, scope=f"user:{anna.pk}")
    with pytest.raises(Refused):
        ask(1, owner=anna)
    with pytest.raises(Refused):
        ask(1, scope=f"user:{anna.pk}")


def test_who_asks_too_fast_is_told_which_limit_and_when_it_ends() -> None:
    bound(rate_per_user="3/minute, 1000/day")
    anna, ben = User.objects.create_user("anna"), User.objects.create_user("ben")
    ask(3, owner=anna)
    with pytest.raises(Refused) as refused:
        ask(1, owner=anna)
    assert refused.value.extra["limit"] == "system 3/minute for one user"
    assert 19 < refused.value.retry_after <= 20
    assert Job.objects.count() == 3
    ask(1, owner=ben)
    Bucket.objects.update(used_until=F("used_until") - timedelta(seconds=20))
    ask(1, owner=anna)
    with pytest.raises(Refused):
        ask(1, owner=anna)


def test_a_refused_request_uses_nothing_up() -> None:
    bound(rate="4/minute", rate_per_user="2/minute")
    anna = User.objects.create_user("anna")
    ask(2, owner=anna)
    for _ in range(5):
        with pytest.raises(Refused):
            ask(1, owner=anna)
    ask(2)
    with pytest.raises(Refused, match="in all"):
        ask(1)


def test_many_at_once_count_as_many() -> None:
    bound(rate="10/minute")
    enqueue_many(ECHO, [Plan()] * 8)
    with pytest.raises(Refused):
        enqueue_many(ECHO, [Plan()] * 3)
    enqueue_many(ECHO, [Plan()] * 2)


def test_more_than_may_wait_are_refused_until_some_have_begun() -> None:
    bound(waiting_per_scope=2)
    options: OptionFields = {"scope": "game:1"}
    ask(2, **options)
    with pytest.raises(Refused) as refused:
        ask(1, **options)
    assert refused.value.code == "too_many_waiting"
    assert refused.value.extra["limit"] == "system 2 waiting here"
    ask(1, scope="game:2")
    run_next()
    ask(1, **options)


def test_children_are_never_refused() -> None:
    QueueSettings.objects.create(queue="llm", rate="1/day", waiting=1)
    queue_settings.forget()
    jobs = [enqueue(PARENT, Plan(text="x")) for _ in range(3)]
    run_until_idle()
    assert {Job.objects.get(pk=job.pk).status for job in jobs} == {Status.COMPLETED}


def test_a_cap_holds_when_many_ask_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    bound(waiting_per_user=5)
    owner = User.objects.create_user("anna")
    controls.cancel(ask(1, owner=owner)[0].pk)  # from the first on the row that is locked is there
    refuse = admission._refuse_waiting

    def count_slowly(rule: admission.Rule, count: int) -> None:
        refuse(rule, count)
        sleep(0.02)  # so that those who count overlap

    monkeypatch.setattr(admission, "_refuse_waiting", count_slowly)
    barrier, outcomes = Barrier(16), []

    def one() -> None:
        barrier.wait()
        try:
            ask(1, owner=owner)
            outcomes.append("in")
        except Refused:
            outcomes.append("refused")
        finally:
            connection.close()

    threads = [Thread(target=one) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (outcomes.count("in"), outcomes.count("refused")) == (5, 11)


@pytest.fixture
def _nothing_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "_next_write", 0.0)
    refusals.write()
    monkeypatch.setattr(refusals, "_next_write", 0.0)
    Rollup.objects.all().delete()
    bound(rate="1/day")
    ask(1)


def refused() -> int:
    """How many refusals are on record."""
    return sum(Rollup.objects.filter(queue="system", measure=refusals.MEASURE).values_list("count", flat=True))


@pytest.mark.usefixtures("_nothing_refused")
def test_refusals_are_counted(config: Config) -> None:
    config(tick_seconds=0.0001)
    for _ in range(3):
        with pytest.raises(Refused):
            ask(1)
    refusals.write()
    assert refused() == 3


@pytest.mark.usefixtures("_nothing_refused")
@pytest.mark.parametrize("own", [False, True], ids=["", "in a transaction of the caller's"])
def test_refusals_within_a_tick_are_written_when_a_request_has_been_answered(
    config: Config, monkeypatch: pytest.MonkeyPatch, client: Client, own: bool
) -> None:
    config(tick_seconds=60)
    for _ in range(5):
        with pytest.raises(Refused), transaction.atomic() if own else nullcontext():
            ask(1)
    assert refused() == (0 if own else 1)
    monkeypatch.setattr(refusals, "_next_write", 0.0)
    client.get("/")
    assert refused() == 5


@pytest.mark.usefixtures("_nothing_refused")
def test_refusals_that_the_database_did_not_take_are_kept(monkeypatch: pytest.MonkeyPatch, config: Config) -> None:
    config(tick_seconds=0.0001)

    def away(taken: object) -> None:
        raise OperationalError

    with monkeypatch.context() as broken_down:
        broken_down.setattr(refusals, "_insert", away)
        with pytest.raises(Refused):
            ask(1)
    with pytest.raises(Refused):
        ask(1)
    assert refused() == 2


# -- whose turn --------------------------------------------------------------------------------------------------


def order_of(count: int) -> list[str]:
    """The fair keys of the next jobs, one by one, as a worker with one slot takes them."""
    taken = []
    for _ in range(count):
        dispatch.refill("system")
        (job,) = claim(limit=1)
        taken.append(job.fair_key)
        end(job)
    return taken


def test_a_thousand_of_one_game_delay_anothers_first_by_one(config: Config) -> None:
    config(ticket_window=16)
    enqueue_many(ECHO, [Plan()] * 1000, scope="game:a")
    assert order_of(3) == ["game:a"] * 3
    ask(3, scope="game:b")
    dispatch.rebuild("system")
    assert order_of(6).count("game:b") == 3


def test_a_games_first_gets_its_ticket_before_those_of_the_thousand(config: Config) -> None:
    config(ticket_window=16)
    enqueue_many(ECHO, [Plan()] * 100, scope="game:a")
    end(*claim(limit=3))
    (first,) = ask(1, scope="game:b", priority=-1)
    popped = connect().lpop("rq:queue:system")
    assert isinstance(popped, bytes)
    assert popped.decode() == f"{first.pk}-0"


def test_games_whose_jobs_stand_in_lanes_take_turns_too() -> None:
    for n in range(4):
        enqueue(ECHO, Plan(text=str(n)), scope="game:a", ordering_key="game:a")
    assert order_of(1) == ["game:a"]
    for n in range(3):
        enqueue(ECHO, Plan(text=str(n)), scope="game:b", ordering_key="game:b")
    assert sorted(order_of(4)) == ["game:a", "game:a", "game:b", "game:b"]


def test_requests_that_run_again_stand_behind_those_who_wait() -> None:
    jobs = enqueue_many(ECHO, [Plan()] * 20, scope="game:a")
    end(*claim(), how=How.HOPELESS)
    enqueue_many(ECHO, [Plan()] * 30, scope="game:c")
    end(*claim(limit=25))
    ask(1, scope="game:b")
    for job in jobs:
        controls.revive(job.pk)
    dispatch.rebuild("system")
    assert "game:b" in order_of(3)


def test_a_child_waits_its_turn_in_its_requests_name() -> None:
    enqueue(PARENT, Plan(), scope="game:a")
    run_next()
    assert Job.objects.get(type=CHILD.name).fair_key == "game:a"
    assert Scope.objects.filter(key="game:a").exists()


def test_a_queue_out_of_order_is_handed_out_anew_by_the_sweep(config: Config) -> None:
    config(ticket_window=4)
    ask(10)
    urgent = ask(2, priority=-5)
    assert dispatch.disordered("system")
    dispatch.rebuild("system")
    assert not dispatch.disordered("system")
    tickets = connect().lrange("rq:queue:system", 0, 1)
    assert tickets == [f"{job.pk}-0".encode() for job in urgent]
