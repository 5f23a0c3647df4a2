"""How many rows PostgreSQL reads for what passes all the time: as many as it is about, however many there are.

Whatever it believes of the tables, which may be long out of date: an idle night leaves a table as good as empty in its
eyes, and the next morning fills it within a minute.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse

from games import entries
from games.models import Game
from jobs import listing, queue_settings, statements
from jobs.errors import Refused
from jobs.events.ledger import ledger
from jobs.models import Job, Lane
from jobs.models_dependencies import Dependency
from jobs.models_metrics import QueueSettings
from jobs.operations import dispatch, leases, progress, requests, upkeep
from jobs.operations.enqueue import enqueue, enqueue_many
from jobs.operations.outcomes import How, settle
from jobs.pauses import pauses
from jobs.scheduler import loop
from jobs.states import Status
from jobs.transport import Ticket, transport
from tests.jobs.in_sets import claimed, ends, every_limit
from tests.jobs.kinds import CHILD, ECHO, Plan
from tests.touched import Plans, directly, forget_statistics, rows_read, whole_reads

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite does not count what it reads"),
]

TABLES = ("jobs_job", "jobs_lane", "jobs_scope", "jobs_dependency", "jobs_jobevent")
BEFORE = 2000
"""Jobs that have ended: whoever reads them all has read too much."""
MOST = 700
"""Rows read for twenty jobs."""


@pytest.fixture(autouse=True)
def _warm(config: Callable[..., None]) -> Iterator[None]:
    """What a process asks once in a while is asked."""
    config(tick_seconds=60, queue_settings_seconds=60, ticket_window=150, bulk_jobs=BEFORE)
    pauses.forget()
    queue_settings.forget()
    transport().empty("system")
    yield
    queue_settings.forget()


def _ended(count: int) -> None:
    """So many jobs that have ended, and depended on one another."""
    jobs = enqueue_many(ECHO, [Plan()] * count)
    Job.objects.update(status=Status.COMPLETED, started_at=Now(), finished_at=Now(), ticketed=False)
    Dependency.objects.bulk_create(Dependency(job=after, on=job) for job, after in pairwise(jobs))


@pytest.fixture(params=["never analysed", "analysed when it was empty", "analysed"])
def _believed(request: pytest.FixtureRequest) -> Iterator[None]:
    """Many jobs that have ended, and what PostgreSQL believes of that."""
    if request.param == "analysed when it was empty":
        _ended(500)
        for table in ("jobs_jobevent", "jobs_dependency", "jobs_job"):
            statements.ask(f"DELETE FROM {table}")
        _analyse()
    _ended(BEFORE)
    upkeep.prune()
    if request.param == "never analysed":
        _forget()
    if request.param == "analysed":
        _analyse()
    yield
    _forget()


def _analyse() -> None:
    for table in TABLES:
        statements.ask(f"ANALYZE {table}")


def _forget() -> None:
    """What is believed would else be so in the tests to come."""
    for table in TABLES:
        forget_statistics(table)


class Reading:
    """How many rows of jobs each act reads, and which sets it compares row by row."""

    def __init__(self) -> None:
        self.rows: dict[str, int] = {}
        self.pairwise: dict[str, list[str]] = {}

    def __call__(self, name: str, act: Callable[[], Any]) -> Any:
        before, plans = rows_read("jobs_job"), Plans()
        with connection.execute_wrapper(plans):
            result = act()
        self.rows[name] = rows_read("jobs_job") - before
        if plans.pairwise:
            self.pairwise[name] = plans.pairwise
        return result

    @property
    def too_many(self) -> dict[str, int | list[str]]:
        """All that is not as it should be."""
        return {name: rows for name, rows in self.rows.items() if rows > MOST} | self.pairwise


@pytest.mark.usefixtures("_believed")
@pytest.mark.parametrize("limited", [False, True])
def test_a_worker_reads_only_the_jobs_that_it_works_on(limited: bool) -> None:
    if limited:
        every_limit(1000)
    waiting = enqueue_many(ECHO, [Plan()] * 500)
    lanes = [enqueue_many(ECHO, [Plan()] * 3, ordering_key=f"lane:{n}", scope=f"test:{n}") for n in range(20)]

    def work() -> dict[str, int | list[str]]:
        reading, worker = Reading(), leases.register(name="w", queues=["system"], slots=100).pk
        tickets, heads = [Ticket(job.pk, 0) for job in waiting[:20]], [Ticket(lane[0].pk, 0) for lane in lanes]
        reading("call", lambda: [enqueue(ECHO, Plan()) for _ in range(20)])
        reading("call unique", lambda: [enqueue(ECHO, Plan(), unique=f"unique:{n % 10}") for n in range(20)])
        reading("call in lanes", lambda: [enqueue(ECHO, Plan(), ordering_key=f"lane:{n}") for n in range(20)])
        reading("call many", lambda: enqueue_many(ECHO, [Plan()] * 20))
        found = reading("claim", lambda: leases.claim(tickets, worker_id=worker, alone=True))
        assert len(found) == 20
        told = [(job, {"percent": 50}) for job in found]
        assert reading("report", lambda: progress.keep(told)) == set()
        later = [(Job(pk=job.pk, token=job.token + 1), {"percent": 60}) for job in found]
        assert reading("report in vain", lambda: progress.keep(later)) == set()
        reading("end", lambda: settle(ends(found)))
        found = reading("claim in lanes", lambda: leases.claim(heads, worker_id=worker))
        assert len(found) == 20
        reading("end in lanes", lambda: settle(ends(found)))
        found = reading("claim next", lambda: leases.take_next(["system"], limit=20, worker_id=worker, alone=True).jobs)
        assert len(found) == 20
        failed = [replace(end, how=How.FAILED, error={"code": "x", "detail": ""}) for end in ends(found)]
        reading("fail", lambda: settle(failed))
        found = reading("claim the rest", lambda: leases.take_next(["system"], limit=20, worker_id=worker).jobs)
        reading("hand back", lambda: leases.hand_back((job.pk, job.token) for job in found))
        reading("look", lambda: leases.any_next(["system"]))
        return reading.too_many

    assert directly(work) == {}


@pytest.mark.usefixtures("_believed")
def test_under_limits_a_worker_reads_only_those_who_hold_their_permits() -> None:
    every_limit(25)
    for key in ("openai-compatible/x", "openai0", "ollama/gpt-5"):
        others = enqueue_many(ECHO, [Plan()] * 1000, concurrency_key=key)
        of_others = Job.objects.filter(pk__in=[job.pk for job in others])
        of_others.update(status=Status.WAITING, started_at=Now(), ticketed=False)
    enqueue_many(ECHO, [Plan()] * 60, concurrency_key="openai/gpt-5")

    def work() -> dict[str, int | list[str]]:
        reading, worker = Reading(), leases.register(name="w", queues=["system"], slots=100).pk
        found = reading("claim", lambda: leases.take_next(["system"], limit=20, worker_id=worker, alone=True).jobs)
        assert len(found) == 20
        rest = reading("hold back", lambda: leases.take_next(["system"], limit=40, worker_id=worker, alone=True).jobs)
        assert len(rest) == 5
        reading("let in", lambda: settle(ends(found)))
        assert Job.objects.filter(status=Status.QUEUED, held_back_by="").count() == 20
        return reading.too_many

    assert directly(work) == {}


def _scheduler(reading: Reading) -> None:
    """All that the scheduler does, but for alerts: every five seconds it counts what waits."""
    for name, service in loop.services().items():
        if name != "alerts":
            reading(name, service)


@pytest.mark.usefixtures("_believed")
def test_the_scheduler_reads_only_the_jobs_that_something_becomes_of() -> None:
    enqueue_many(ECHO, [Plan()] * 1000)
    due = enqueue_many(ECHO, [Plan()] * 20, delay=timedelta(hours=1))
    Job.objects.filter(pk__in=[job.pk for job in due]).update(scheduled_at=Now())
    first = enqueue(ECHO, Plan())
    after = [enqueue(ECHO, Plan(), depends_on=[first]) for _ in range(20)]
    Job.objects.filter(pk=first.pk).update(status=Status.COMPLETED, finished_at=Now())  # as if it had told nobody
    for time_to_start in (timedelta(hours=-1), timedelta(hours=1)):  # of those who began in time, and wait for a person
        began = [job.pk for job in enqueue_many(ECHO, [Plan()] * 1000, expires_in=timedelta(hours=1))]
        in_time = {"started_at": Now(), "expires_at": Now() + time_to_start}
        Job.objects.filter(pk__in=began).update(status=Status.WAITING, ticketed=False, **in_time)

    def work() -> dict[str, int | list[str]]:
        reading, worker = Reading(), leases.register(name="w", queues=["system"], slots=100)
        leases.take_next(["system"], limit=20, worker_id=worker.pk, alone=True)
        statements.ask("UPDATE jobs_worker SET lease_until = now() - interval '1 hour'")
        _scheduler(reading)
        assert not Job.objects.filter(pk__in=[job.pk for job in due + after]).exclude(status=Status.QUEUED).exists()
        assert Job.objects.filter(lease_losses=1).count() == 20
        _scheduler(reading)
        return reading.too_many

    assert directly(work) == {}


@pytest.mark.usefixtures("_believed")
@pytest.mark.parametrize("by_index", [False, True])
def test_what_nothing_else_has_is_found_without_reading_others(by_index: bool) -> None:
    user, waiting = User.objects.create_user("ada"), enqueue_many(ECHO, [Plan()] * 500)
    own = enqueue(ECHO, Plan(), owner=user, idempotency_key="once")

    def work() -> dict[str, Any]:
        reading = Reading()
        reading("unique", lambda: [enqueue(ECHO, Plan(), unique="one") for _ in range(5)])
        reading("unique, again", lambda: enqueue(ECHO, Plan(), unique="one", replace=True))
        assert reading("idempotent", lambda: enqueue(ECHO, Plan(), owner=user, idempotency_key="once")) == own
        assert reading("job", lambda: listing.find(str(waiting[400].public_id))) == waiting[400]
        assert reading("request", lambda: requests.find(user, own.public_id)) == own
        return reading.too_many

    assert (directly(work) if by_index else work()) == {}


def test_lists_begin_with_the_newest_and_read_no_others(client: Client) -> None:
    user, admin = User.objects.create_user("ada"), User.objects.create_superuser("root")
    game = Game.objects.create(name="The Cellar", opening="A cellar.", state={})
    many = enqueue_many(ECHO, [Plan()] * 100, owner=user, scope=game.scope_key)
    for _ in range(10):  # of few PostgreSQL would rather read all
        enqueue_many(CHILD, [Plan()] * BEFORE)
    _analyse()
    client.force_login(admin)

    def work() -> dict[str, Any]:
        reading = Reading()
        by_id = listing.wanted(search=str(many[0].public_id))
        newest = [listing.wanted(scope=game.scope_key), listing.wanted(owner="ada"), listing.wanted(type=ECHO.name)]
        for n, found in enumerate([by_id, *newest]):
            jobs, _ = reading(f"list {n}", partial(listing.page, found, before=None, limit=50))
            assert jobs[0] == (many[-1] if n else many[0])
        assert len(reading("play", partial(entries.page, game))[0]) == entries.PAGE_ENTRIES
        page = reverse("admin:jobs_job_changelist")
        reading("found", lambda: client.get(page, {"q": str(many[0].public_id)}))
        assert reading("page", lambda: client.get(page)).status_code == 200
        assert reading.rows.pop("page") < 10 * BEFORE + MOST, "Django counts them all, once"
        return reading.too_many

    assert work() == {}


def test_under_caps_a_call_counts_those_who_wait_and_reads_no_others() -> None:
    user = User.objects.create_user("ada")
    for _ in range(10):  # of few PostgreSQL would rather read all
        enqueue_many(ECHO, [Plan()] * BEFORE, owner=user, scope="test:1")
    Job.objects.update(status=Status.COMPLETED, started_at=Now(), finished_at=Now(), ticketed=False)
    enqueue_many(ECHO, [Plan()] * 20, owner=user, scope="test:1")
    enqueue_many(ECHO, [Plan()] * 20, delay=timedelta(hours=1))
    QueueSettings.objects.create(queue="system", waiting=45, waiting_per_user=45, waiting_per_scope=45)
    queue_settings.forget()
    _analyse()

    def work() -> dict[str, Any]:
        reading = Reading()
        reading("call", lambda: [enqueue(ECHO, Plan(), owner=user, scope="test:1") for _ in range(5)])
        with pytest.raises(Refused, match="45 waiting in all"):
            reading("refused", lambda: enqueue(ECHO, Plan(), owner=user, scope="test:1"))
        return reading.too_many

    assert work() == {}


def test_cleanup_reads_nothing_of_what_is_to_be_kept_whatever_was_said_of_how_long() -> None:
    for hours in (2, 3, 400):
        enqueue_many(ECHO, [Plan()] * 500, keep_for=timedelta(hours=hours))
    of_others = enqueue_many(ECHO, [Plan()] * 500)
    Job.objects.update(status=Status.COMPLETED, started_at=Now(), finished_at=Now(), ticketed=False)
    due = enqueue_many(ECHO, [Plan()] * 20, keep_for=timedelta(hours=3)) + of_others[:20]
    long_ago = Now() - timedelta(days=999)
    Job.objects.filter(pk__in=[job.pk for job in due]).update(status=Status.COMPLETED, finished_at=long_ago)

    def work() -> dict[str, Any]:
        reading = Reading()
        assert upkeep.prune() == 40
        assert reading("look", upkeep.prune) == 0
        return reading.too_many

    assert directly(work) == {}


def test_a_worker_never_reads_a_whole_table_of_jobs_however_small_it_was_when_it_began() -> None:
    def work() -> int:
        worker = leases.register(name="w", queues=["system"], slots=100)
        before = whole_reads("jobs_job")
        for _ in range(8):  # PostgreSQL keeps a plan from the sixth time on
            jobs = enqueue_many(ECHO, [Plan()] * 4)
            found = leases.claim([Ticket(job.pk, 0) for job in jobs[:2]], worker_id=worker.pk, alone=True)
            found += leases.take_next(["system"], limit=2, worker_id=worker.pk, alone=True).jobs
            assert len(settle(ends(found))) == 4
        return whole_reads("jobs_job") - before

    assert directly(work) == 0


def test_a_worker_reads_no_lanes_but_those_it_locks() -> None:
    Lane.objects.create(key="of before").delete()
    statements.ask("ANALYZE jobs_lane")  # while nothing is left in it, as autovacuum may
    named, *_ = Lane.objects.bulk_create([Lane(key=f"lane:{n}") for n in range(500)])

    def lock() -> int:
        before = rows_read("jobs_lane")
        with ledger(lanes=[named.pk, "lane:7"]) as book:
            assert {lane.key for lane in book.lanes.values()} == {"lane:0", "lane:7"}
        return rows_read("jobs_lane") - before

    assert directly(lock) < 10


def test_to_let_the_next_of_lanes_go_nobody_reads_all_that_wait_in_their_queue(config: Callable[..., None]) -> None:
    config(ticket_window=1000)
    enqueue_many(ECHO, [Plan()] * 300)
    keys = [f"lane:{n}" for n in range(20)]
    heads = [enqueue_many(ECHO, [Plan()] * 2, ordering_key=key)[0] for key in keys]
    forget_statistics("jobs_job")

    def let_go() -> int:
        found = claimed(heads)
        before = rows_read("jobs_job")
        settle(ends(found))
        return rows_read("jobs_job") - before

    assert directly(let_go) < 600
    assert Job.objects.filter(lane__isnull=False, status=Status.QUEUED, ticketed=True).count() == 20


def test_whether_any_waits_for_a_ticket_is_found_out_without_reading_those_that_have_one(
    config: Callable[..., None],
) -> None:
    config(ticket_window=1000)
    enqueue_many(ECHO, [Plan()] * 300)
    forget_statistics("jobs_job")

    def look() -> int:
        before = rows_read("jobs_job")
        assert dispatch.may_push("system")
        assert dispatch.refill("system") == 0
        return rows_read("jobs_job") - before

    assert directly(look) < 5
    assert look() < 5
