"""Whose turn it is when many wait: no pattern of asking keeps anybody else's jobs waiting."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import pytest

from jobs.models import Job
from jobs.operations import controls, dispatch, operating, permits
from jobs.operations.enqueue import enqueue_many
from jobs.operations.operator import Operator
from jobs.scheduler.due import run_due
from jobs.states import Status
from jobs.testing.running import end_delays
from tests.jobs import under_limits
from tests.jobs.kinds import ECHO, Plan
from tests.jobs.under_limits import bound, claim, end, held_back

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("nothing_kept")]


def ask(game: str, count: int = 1, **options: object) -> list[Job]:
    return under_limits.ask(count, scope=game, **options)


def take() -> Job:
    """The next job, claimed as by a worker with one free slot."""
    dispatch.rebuild("system")
    (job,) = claim(limit=1)
    return job


def turns(count: int, then: Callable[[str], object] = str) -> list[str]:
    """Whose the next jobs are, one after another; ``then`` is told when one has run."""
    taken = []
    for _ in range(count):
        job = take()
        end(job)
        taken.append(job.fair_key)
        then(job.fair_key)
    return taken


def within_one(taken: list[str], games: str) -> bool:
    """Whether all had as many turns, but for one: who comes anew is first in the round that goes on."""
    shares = [taken.count(game) for game in games]
    return max(shares) - min(shares) <= 1


def test_two_that_ask_again_and_again_keep_a_third_from_nothing() -> None:
    ask("a", 20)
    ask("b")
    ask("c")
    shares = Counter(turns(60, lambda game: game != "a" and ask(game)))
    assert shares == {"a": 20, "b": 20, "c": 20}


def test_who_asks_again_only_when_the_next_has_begun_gets_as_much() -> None:
    ask("a", 40)
    ask("b")
    taken, running = [], take()
    for _ in range(40):
        end(ended := running)
        running = take()
        taken.append(ended.fair_key)
        if ended.fair_key == "b":
            ask("b")
    assert Counter(taken) == {"a": 20, "b": 20}


def test_however_many_wait_each_gets_the_same_within_one() -> None:
    waiting = {"a": 1, "b": 2, "c": 7, "d": 15}
    for game, count in waiting.items():
        ask(game, count)
    shares = Counter(dict.fromkeys(waiting, 0))
    for _ in range(40):
        shares.update(turns(1, ask))
        assert max(shares.values()) - min(shares.values()) <= 1


def test_a_queue_that_was_empty_goes_on_where_it_was() -> None:
    ask("a", 5)
    turns(5)
    ask("b", 3)
    ask("a", 3)
    ask("c", 3)
    assert within_one(turns(8), "abc")


def test_a_burst_of_another_priority_takes_no_turn_away() -> None:
    ask("a", 30, priority=-5)
    ask("b", 10)
    turns(30)
    ask("a", 10)
    ask("c", 10, priority=-5)
    turns(10)
    ask("c", 10)
    assert Counter(turns(9)) == {"a": 3, "b": 3, "c": 3}


def test_a_request_of_another_priority_than_before_stands_there_like_a_new_one() -> None:
    enqueue_many(ECHO, [Plan()] * 50, scope="a")
    turns(30)
    begun = take()
    (moved,) = ask("m")
    ask("b", 5, priority=5)
    operating.reprioritise(moved.pk, 5, by=by())
    operating.reprioritise(begun.pk, 5, by=by())
    ask("c", 5, priority=5)
    for job in Job.objects.filter(status=Status.QUEUED, priority=0):
        controls.cancel(job.pk)
    assert Counter(turns(5)) == {"m": 1, "b": 2, "c": 2}


def by() -> Operator:
    return Operator(user=None, via="command")


def test_those_held_back_lose_no_turn_to_those_who_come_meanwhile() -> None:
    bound(concurrency=1)
    ask("a", 10)
    running = take()
    dispatch.rebuild("system")
    assert claim() == []
    assert held_back() == 9
    ask("b", 10)
    bound(concurrency=None)
    permits.let_in_all()
    end(running)
    assert Counter(turns(8)) == {"a": 4, "b": 4}


@pytest.mark.parametrize("one_by_one", [True, False])
def test_delayed_jobs_take_their_turn_when_they_fall_due(one_by_one: bool) -> None:
    hour = timedelta(hours=1)
    if one_by_one:
        ask("a", 10, delay=hour)
    else:
        enqueue_many(ECHO, [Plan()] * 10, scope="a", delay=hour)
    ask("b", 20)
    turns(5)
    end_delays()
    run_due()
    ask("c", 10)
    assert within_one(turns(8), "abc")


def test_jobs_that_depended_on_one_that_ended_late_take_their_turn_then() -> None:
    (first,) = ask("a")
    running = take()
    assert running == first
    ask("a", 10, depends_on=[first])
    ask("b", 30)
    turns(10)
    end(running)
    assert within_one(turns(9), "ab")


def test_the_next_in_many_lanes_of_a_game_take_turns_with_another() -> None:
    heads = [ask("a", 2, ordering_key=f"lane:{n}")[0] for n in range(6)]
    claimed = [take() for _ in heads]
    ask("b", 10)
    end(*claimed)
    assert Counter(turns(8)) == {"a": 4, "b": 4}
