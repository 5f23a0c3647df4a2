"""Chats over HTTP with real processes: asked and answered live, many at once, in order, and through every death."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.contrib.auth.models import User

from accounts import tokens
from accounts.models import Scope
from games.models import Decisions, Game, Scenario
from jobs.models import Job
from jobs.models_events import JobEvent
from queueproject.testing.model_server import OpenAIServer, answers, breaks_after, never_ends, says, status
from queueproject.testing.processes import Stack
from queueproject.testing.requests import queue_depth, queue_empty, wait_for_completion, wait_for_event
from queueproject.testing.streams import EventStream
from queueproject.testing.waiting import wait_until
from tests.cast import Cast

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

WELL = (Path(__file__).parents[1] / "games" / "scenario.yaml").read_text()
DIALOGUE = ["request.queued", "request.processing", "llm.processing", "game.state_updated", "request.completed"]
Open = Callable[..., EventStream]


class Chatter:
    """A program that chats for this user."""

    def __init__(self, stack: Stack, user: User) -> None:
        self.token = tokens.issue(user, "chat", Scope.values)[1]
        self._server = stack.base_url

    def chat(self, game: Game, message: str) -> str:
        """Ask; the request's id. While the server is away it is asked again, under the same key."""
        headers = {"Authorization": f"Bearer {self.token}", "Idempotency-Key": message.replace(" ", "-")}
        body = {"message": message, "game_state_id": str(game.pk)}

        def asked() -> str:
            try:
                answer = httpx.post(f"{self._server}/v1/chat", json=body, headers=headers, timeout=30)
            except httpx.HTTPError:
                return ""
            return str(answer.raise_for_status().json()["request_id"])

        return wait_until(asked, 60)

    def stream(self, game: Game) -> tuple[str, str]:
        return f"{self._server}/v1/events/games/{game.pk}", self.token


@pytest.fixture
def free(cast: Cast) -> Cast:
    """Nobody decides in these games."""
    Game.objects.update(decisions=Decisions.NEVER)
    return cast


def names(stream: EventStream, request: str) -> list[str]:
    """The numbered events of this request, as they came."""
    return [event.name for event in stream.events if _is_numbered(event.name) and event.data["request_id"] == request]


def _is_numbered(name: str) -> bool:
    return bool(name) and name not in ("chat.chunk", "progress", "request.position", "queue.status")


def table(game: Game) -> list[int]:
    rows = JobEvent.objects.filter(scope__key=game.scope_key).order_by("seq").values_list("seq", flat=True)
    return [seq for seq in rows if seq is not None]


def test_a_chat_is_taken_at_once_and_answered_live(stack: Stack, free: Cast, event_stream: Open) -> None:
    stack.start(SCRIPTED_SECONDS="0.5")
    player = Chatter(stack, free.player1)
    stream = event_stream(*player.stream(free.game), cursor=0)
    stream.wait_until_open()
    request = player.chat(free.game, "Is anybody there?")
    own = event_stream(f"{stack.base_url}/v1/events/requests/{request}", player.token)
    job = wait_for_completion(request, 60)
    stream.wait_for("request.completed", request_id=request)
    assert names(stream, request) == DIALOGUE
    own.wait_for("request.completed", request_id=request)
    assert names(own, request) == DIALOGUE
    chunks = [event.data["data"] for event in stream.events if event.name == "chat.chunk"]
    told = (job.result or {})["narration"]
    assert "".join(chunk["content"] for chunk in chunks).strip() == told
    assert [chunk["index"] for chunk in chunks] == list(range(len(chunks)))
    assert chunks[-1]["done"]
    assert wait_for_event(free.game, "game.state_updated")["data"]["turn"] == 1
    assert queue_empty("player_actions")


def test_many_at_once_are_answered_one_after_another_in_each_game(stack: Stack, free: Cast) -> None:
    stack.start("web", SCRIPTED_SECONDS="0.05")
    players = [Chatter(stack, user) for user in (free.player1, free.player2)]
    with ThreadPoolExecutor(8) as pool:
        asked = [
            pool.submit(players[number % 2].chat, game, f"message {number} in {game.name}")
            for number in range(10)
            for game in (free.game, free.other)
        ]
        requests = [each.result() for each in asked]
    assert queue_depth("player_actions") == 2  # the first of each game; the others wait in line
    stack.start("worker", "worker.2", "scheduler")
    for request in requests:
        assert wait_for_completion(request, 120).request_status == "completed"
    for game in (free.game, free.other):
        arrived = Job.objects.roots().filter(scope__key=game.scope_key).order_by("place")
        assert list(game.turns.order_by("number").values_list("request", flat=True)) == [
            job.public_id for job in arrived
        ]
        assert_one_at_a_time(game)


def assert_one_at_a_time(game: Game) -> None:
    """By the record: the next begins only after the one before has ended."""
    running: set[object] = set()
    for event in JobEvent.objects.filter(scope__key=game.scope_key).order_by("seq"):
        if event.event == "request.processing":
            running.add(event.request)
        assert len(running) <= 1
        if event.event == "request.completed":
            running.discard(event.request)


@pytest.mark.chaos
def test_a_worker_killed_in_the_middle_of_an_answer_begins_it_anew(
    stack: Stack, free: Cast, event_stream: Open
) -> None:
    stack.start(SCRIPTED_SECONDS="3", LEASE_SECONDS="1", HEARTBEAT_SECONDS="0.2")
    player = Chatter(stack, free.player1)
    stream = event_stream(*player.stream(free.game), cursor=0)
    stream.wait_until_open()
    request = player.chat(free.game, "Is anybody there?")
    stream.wait_for("chat.chunk", 60)
    stack.kill9("worker")
    stack.start("worker", SCRIPTED_SECONDS="0.3")
    job = wait_for_completion(request, 60)
    stream.wait_for("request.completed", request_id=request)
    assert names(stream, request) == DIALOGUE
    chunks = [event.data["data"] for event in stream.events if event.name == "chat.chunk"]
    attempts = sorted({chunk["attempt"] for chunk in chunks})
    assert len(attempts) == 2
    last = [chunk["content"] for chunk in chunks if chunk["attempt"] == attempts[-1]]
    assert "".join(last).strip() == (job.result or {})["narration"]
    assert (job.attempt, free.game.turns.count()) == (1, 1)


@pytest.mark.chaos
def test_every_stream_ends_up_with_exactly_the_table_whatever_dies(
    stack: Stack, free: Cast, event_stream: Open
) -> None:
    scenario = Scenario.objects.create(name="The Well", version=1, source=WELL)
    Game.objects.update(scenario=scenario, state=scenario.document.state)
    stack.start(SCRIPTED_SECONDS="0.3", LEASE_SECONDS="1", HEARTBEAT_SECONDS="0.2")
    player = Chatter(stack, free.player1)
    streams = [event_stream(*player.stream(free.game), cursor=0) for _ in range(5)]
    requests = [player.chat(free.game, "before")]
    stack.kill9("web")
    stack.start("web")
    requests.append(player.chat(free.game, "after the web"))
    stack.kill9("worker")
    stack.start("worker")
    requests.append(player.chat(free.game, "after the worker"))
    for request in requests:
        assert wait_for_completion(request, 60).request_status == "completed"
    wait_until(lambda: queue_empty("player_actions") and queue_empty("llm"), 60)
    expected = table(free.game)
    assert expected == list(range(1, len(expected) + 1))
    for stream in streams:
        wait_until(lambda stream=stream: stream.ids[-1:] == expected[-1:], 30, "the last event")  # type: ignore[misc]
        assert stream.ids == expected
        assert stream.cuts >= 1
    happened = dict(free.game.happened.values_list("event", "times"))
    told = [job.payload["events"] for job in Job.objects.filter(type="story_event", status="completed")]
    assert sum(happened.values()) == sum(map(len, told))
    assert_one_at_a_time(free.game)


@pytest.mark.parametrize(
    ("behaviours", "outcome"),
    [
        ((status(429, Retry_After="1"), says("Yes.")), "completed"),
        ((breaks_after("Ye"), says("Yes.")), "completed"),
        ((status(500), answers(b"garbage"), says("Yes.")), "completed"),
        ((says("I", finish="content_filter"),), "refused"),
        ((says(""),), "empty_answer"),
        ((never_ends(first="So"),), "llm_timeout"),
    ],
    ids=["busy", "cut", "garbage", "refuses", "empty", "endless"],
)
def test_whatever_the_model_does_the_player_gets_an_answer_or_a_clear_error(
    stack: Stack, free: Cast, model_server: OpenAIServer, behaviours: Any, outcome: str
) -> None:
    model_server.will(*behaviours)
    stack.start(
        LLM_PROVIDER="openai_compatible",
        LLM_BASE_URL=model_server.base_url,
        LLM_IDLE_SECONDS="0.5",
        BACKOFF_SECONDS="0.1",
    )
    began = time.monotonic()
    job = wait_for_completion(Chatter(stack, free.player1).chat(free.game, "Is anybody there?"), 60)
    turns = list(free.game.turns.values_list("narration", flat=True))
    if outcome == "completed":
        assert turns == ["Yes."]
    else:
        assert ((job.error or {})["code"], turns) == (outcome, [])
        assert Game.objects.get(pk=free.game.pk).state_version == 1
    assert time.monotonic() - began < 60
