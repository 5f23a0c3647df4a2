"""Whose turn it is when tickets are handed out."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from jobs.models import Job, Scope
from jobs.operations import controls, dispatch
from jobs.operations.enqueue import enqueue, enqueue_many
from jobs.operations.outcomes import How
from jobs.testing import run_next
from jobs.transport import connect
from tests.jobs.kinds import CHILD, ECHO, PARENT, Plan
from tests.jobs.under_limits import ask, claim, end

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("nothing_kept")]

Config = Callable[..., None]


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
