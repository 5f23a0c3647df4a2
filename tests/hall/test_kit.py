"""The public test kit says what it waited for when that does not come; the rest of it is used by other tests."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

import pytest

from games.jobtypes import CHAT, Chat
from games.models import Game
from jobs.operations.enqueue import enqueue
from queueproject.testing.processes import Stack
from queueproject.testing.requests import queue_depth, queue_empty, wait_for_completion, wait_for_event
from queueproject.testing.streams import EventStream
from queueproject.testing.waiting import wait_until
from tests.console import far

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def game() -> Game:
    return Game.objects.create(name="A game", opening="It begins.")


def test_a_request_that_does_not_end_is_named_with_its_status(game: Game) -> None:
    job = enqueue(CHAT, Chat(game_id=game.pk, text="Hello?", player="someone"), scope=game.scope_key)
    with pytest.raises(AssertionError, match=f"request {job.public_id} is queued after 0.1 s"):
        wait_for_completion(job.public_id, 0.1)
    with pytest.raises(AssertionError, match="unknown to the database"):
        wait_for_completion(uuid4(), 0.1)


def test_events_and_queues_are_looked_at_as_they_stand(game: Game) -> None:
    assert (queue_depth("player_actions"), queue_empty("player_actions")) == (0, True)
    enqueue(CHAT, Chat(game_id=game.pk, text="Hello?", player="someone"), scope=game.scope_key)
    assert (queue_depth("player_actions"), queue_empty("player_actions")) == (1, False)
    assert wait_for_event(game, "request.queued")["seq"] == 1
    assert wait_for_event(str(game.pk), "request.queued")["kind"] == "chat"
    with pytest.raises(AssertionError, match=r"request\.queued in game"):
        wait_for_event(game.pk, "request.queued", 0.1, after=1)


def test_a_server_that_repeats_an_event_after_a_cut_is_found_out() -> None:
    def repeats(exchange: far.Exchange) -> None:
        exchange.begin()
        exchange.wfile.write(b"id: 5\nevent: a\ndata: {}\n\nevent: passing\ndata: {}\n\n")

    with far.running() as server:
        server.stream = repeats
        stream = EventStream(f"{server.url}/v1/events/games/g", "qp_t", cursor=4)
        wait_until(lambda: len(stream.ids) >= 2, 20)
        stream.close()
    assert stream.ids[:2] == [5, 5]
    assert [event.name for event in stream.events[:4]] == ["a", "passing"] * 2


@pytest.mark.integration
def test_a_worker_of_ones_own_does_the_work(game: Game, worker: Callable[..., Stack]) -> None:
    Game.objects.update(decisions="never")
    job = enqueue(CHAT, Chat(game_id=game.pk, text="Hello?", player="someone"), scope=game.scope_key)
    worker(SCRIPTED_SECONDS="0")
    assert wait_for_completion(job.public_id, 60).request_status == "completed"
