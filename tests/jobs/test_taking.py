"""What a worker takes, and when it looks for more: tickets, and what has none."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from django.db import connection

from jobs.events.ledger import ledger
from jobs.models import Job
from jobs.operations import leases
from jobs.operations.enqueue import enqueue
from jobs.operations.transitions import lock
from jobs.states import Status
from jobs.transport import Ticket
from jobs.worker.line import line
from jobs.worker.process import Worker
from tests.jobs.kinds import ECHO, Plan
from tests.jobs.under_limits import ask, claim, held_back, limit
from tests.together import at_once

pytestmark = pytest.mark.django_db(transaction=True)

Config = Callable[..., None]


class Silent:
    """A line on which nothing is heard. ``waits``: how often a worker waited for something."""

    suspended = False
    tickets: list[Ticket] | None = []

    def __init__(self) -> None:
        self.waits = 0

    def pop(self, limit: int, *, wait: bool) -> list[Ticket] | None:
        self.waits += wait
        return self.tickets

    def tell(self) -> None: ...

    def leave(self) -> None: ...


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no locks on rows")
@pytest.mark.parametrize(
    "hold",
    [
        lambda job: enqueue(ECHO, Plan(), depends_on=[job]),
        lambda job: enqueue(ECHO, Plan(), unique="one", replace=True),
        lambda job: lock([job.pk]),
    ],
    ids=["dependent", "replaced", "looked at"],
)
def test_who_is_locked_when_its_ticket_comes_gets_another_at_once(hold: Callable[[Job], object]) -> None:
    def take() -> list[Job]:
        worker = leases.register(name="w", queues=["system"], slots=1)
        return leases.claim(rq.pop(1, wait=False) or [], worker_id=worker.pk, alone=True)

    rq = line(["system"], name="w")
    job = enqueue(ECHO, Plan(), unique="one")
    with ledger():
        hold(job)
        assert at_once(take) == [[]]
    assert take() == [job]


class Away(Silent):
    """Redis is gone."""

    tickets = None


class Trickle(Silent):
    """One ticket at a time, but always one."""

    def pop(self, limit: int, *, wait: bool) -> list[Ticket]:
        job = enqueue(ECHO, Plan(), queue="system")
        return [Ticket(job.pk, job.token)]


def take(count: int, line: Silent, *, slots: int = 4) -> None:
    """Have a worker take so many jobs of two queues, on this line alone."""

    def work() -> None:
        worker = Worker(["system", "assets"], slots=slots, max_jobs=count)
        worker.line = line
        worker.work()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(work).result()


def without_tickets() -> None:
    Job.objects.filter(status=Status.QUEUED).update(ticketed=False)


@pytest.fixture
def _few_may_start() -> None:
    limit("slow", 1)
    ask(1, concurrency_key="slow")
    claim()
    for _ in range(5):
        ask(1)
        ask(7, concurrency_key="slow")
    without_tickets()


@pytest.mark.usefixtures("_few_may_start")
def test_who_is_held_back_by_a_limit_does_not_keep_a_worker_from_those_behind(config: Config) -> None:
    config(poll_seconds=0.001)
    line = Silent()
    take(5, line)
    assert held_back() >= 4 * 7
    assert line.waits == 0


@pytest.mark.usefixtures("_few_may_start")
def test_nor_while_redis_is_away(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    config(poll_seconds=0.001)
    paused_with_more: list[bool] = []
    pause = Worker._pause

    def noted(worker: Worker) -> list[Job]:
        paused_with_more.append(worker._more)
        return pause(worker)

    monkeypatch.setattr(Worker, "_pause", noted)
    take(5, Away())
    assert held_back() >= 4 * 7
    assert all(paused_with_more)


def test_a_trickle_of_tickets_does_not_keep_a_worker_from_what_has_none(config: Config) -> None:
    config(poll_seconds=0.001)
    waiting = ask(3, queue="assets")
    without_tickets()
    take(9, Trickle())
    assert Job.objects.filter(pk__in=[job.pk for job in waiting], status=Status.COMPLETED).count() == 3


class Stale(Silent):
    """Full of tickets of jobs that are gone, as after a while in which nobody looked at it."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.pops = [Ticket(0, n) for n in range(50)], 0

    def pop(self, limit: int, *, wait: bool) -> list[Ticket] | None:
        self.waits, self.pops = self.waits + wait, self.pops + 1
        popped, self.left = self.left[:limit], self.left[limit:]
        return popped


def test_in_a_backlog_a_worker_asks_the_list_no_more_once_it_was_short(config: Config) -> None:
    config(poll_seconds=60)
    ask(40)
    without_tickets()
    line = Stale()
    line.left.clear()
    take(40, line, slots=2)
    assert line.pops == 1


def test_but_once_in_a_while_so_that_no_list_grows_however_long_the_backlog_lasts(config: Config) -> None:
    config(poll_seconds=0.001)
    ask(40)
    without_tickets()
    line = Stale()
    take(40, line, slots=2)
    assert not line.left


def test_a_worker_that_was_stopped_while_it_looked_takes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    (job,) = ask(1)
    without_tickets()
    worker, any_next = Worker(["system"], slots=1), leases.any_next
    heart = Heart(worker_id=leases.register(name="w", queues=["system"], slots=1).pk)
    monkeypatch.setattr(worker, "line", Silent())
    monkeypatch.setattr(worker, "pulse", heart, raising=False)

    def stop(queues: list[str]) -> bool:
        heart.trusted = False
        return any_next(queues)

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(leases, "any_next", stop)
        assert worker._poll(1) == []
    heart.trusted = True
    assert worker._poll(1) == [job]
    worker.completer.close(1.0)
    worker.slots.close()


@dataclass
class Heart:
    """A pulse that beats when it is told to."""

    worker_id: int
    trusted: bool = True


def test_no_queue_is_always_last_where_nobody_hands_out_tickets() -> None:
    for queue in ("assets", "system"):
        ask(30, queue=queue)
    worker = leases.register(name="w", queues=["assets", "system"], slots=1)
    taken = [leases.claim_next(["assets", "system"], limit=1, worker_id=worker.pk) for _ in range(30)]
    assert {job.queue for (job,) in taken} == {"assets", "system"}
