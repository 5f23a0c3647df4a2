"""What is asked over a game's socket: actions and words, each once, and an error for all that is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError

from accounts.threads import in_thread
from games import operations
from games.models import Game
from jobs import queue_settings
from jobs.models import Job
from queueproject.env import QueueDefaults
from tests.games.sockets import entered, frame

pytestmark = pytest.mark.django_db(transaction=True)


async def test_an_action_is_acknowledged_and_its_events_follow(game: Game) -> None:
    async with entered(game, "player1") as client:
        await client.send("hello", cursor=0)
        await client.send("action", id="one", text="I open the door.")
        frames = {frame["type"]: frame for frame in (await client.receive(), await client.receive())}
        ack = frames["ack"]
        assert (ack["id"], ack["status"], ack["position"]) == ("one", "queued", 0)
        assert (frames["event"]["event"], frames["event"]["request_id"]) == ("request.queued", ack["request_id"])
        await client.send("action", id="two", text="I go in.")
        assert (await client.next("ack"))["position"] == 1


async def test_what_is_said_is_acknowledged_once_for_each_id(game: Game) -> None:
    async with entered(game, "player1") as client:
        acks = []
        for _ in range(2):
            await client.send("chat", id="one", text="Is anybody there?")
            acks.append(await client.next("ack"))
        assert acks == [acks[0]] * 2
        await client.send("chat", id="two", text=" ")
        error = await client.next("error")
        assert (error["id"], error["code"], list(error["fields"])) == ("two", "invalid", ["text"])
    assert await in_thread(list, Job.objects.values_list("type", flat=True)) == ["chat"]


async def test_the_same_id_twice_is_one_action_also_from_another_socket(game: Game) -> None:
    acks = []
    for _ in range(2):
        async with entered(game, "player1") as client:
            for _ in range(2):
                await client.send("action", id="same", text="I open the door.")
                acks.append(await client.next("ack"))
    assert acks == [acks[0]] * 4
    assert await in_thread(Job.objects.count) == 1
    async with entered(game, "player1") as client:
        await client.send("action", id="same", text="I close the door.")
        error = await client.next("error")
        assert (error["id"], error["code"]) == ("same", "idempotency_mismatch")


async def test_a_dm_changes_the_state_and_a_player_may_not(game: Game) -> None:
    change = {"path": "doors.cellar", "op": "set", "value": "open", "was": "closed"}
    async with entered(game, "dm") as client:
        await client.send("action", id="1", text="The cellar door falls in.", changes=[change])
        assert (await client.next("ack"))["status"] == "queued"
        await client.send("action", id="2", text="The cellar door falls in.", changes=[{"path": "clock"}])
        error = await client.next("error")
        assert (error["id"], error["code"]) == ("2", "invalid")
        assert all(path.startswith("changes.0") for path in error["fields"])
    async with entered(game, "player1") as client:
        await client.send("action", id="3", text="The cellar door falls in.", changes=[change])
        error = await client.next("error")
        assert (error["id"], error["code"]) == ("3", "forbidden")


async def test_a_full_line_is_told_with_when_to_come_back(game: Game, config: Callable[..., None]) -> None:
    config(queue_settings={"player_actions": QueueDefaults(waiting_per_user=1)})
    queue_settings.forget()
    try:
        async with entered(game, "player1") as client:
            for number in ("1", "2"):
                await client.send("action", id=number, text="I wave.")
            assert (await client.next("ack"))["id"] == "1"
            error = await client.next("error")
            assert (error["id"], error["retry_after"] > 0, bool(error["detail"])) == ("2", True, True)
    finally:
        queue_settings.forget()


async def test_a_database_that_stumbles_costs_an_error_frame(game: Game, monkeypatch: pytest.MonkeyPatch) -> None:
    def stumble(**_: Any) -> Job:
        raise OperationalError("gone for a moment")

    def fail(**_: Any) -> Job:
        raise ZeroDivisionError("secret detail")

    async with entered(game, "player1") as client:
        for broken, code in ((stumble, "unavailable"), (fail, "internal")):
            with monkeypatch.context() as patch:
                patch.setattr(operations, "act", broken)
                await client.send("action", id="1", text="I wave.")
                error = await client.receive()
                assert (error["id"], error["code"]) == ("1", code)
                assert "secret" not in error["detail"]
        await client.send("action", id="1", text="I wave.")
        assert (await client.next("ack"))["id"] == "1"


WRONG_FRAMES: dict[str, tuple[str | bytes, str]] = {
    "no JSON": ("hello", "malformed_json"),
    "half an object": ('{"type": "ping"', "malformed_json"),
    "NaN": ('{"type": "hello", "cursor": NaN}', "malformed_json"),
    "endless digits": ('{"type": "hello", "cursor": ' + "9" * 5000 + "}", "malformed_json"),
    "deep nesting": ("[" * 60_000, "malformed_json"),
    "a list": ("[]", "invalid"),
    "a string": ('"ping"', "invalid"),
    "null": ("null", "invalid"),
    "no type": ("{}", "invalid"),
    "an unknown type": (frame("dance"), "unknown_type"),
    "a type that is a list": ('{"type": ["ping"]}', "unknown_type"),
    "binary": (b'{"type": "ping"}', "binary_frame"),
    "too large": (frame("action", id="1", text="x" * 70_000), "too_large"),
    "no cursor": (frame("hello"), "invalid"),
    "a cursor of words": (frame("hello", cursor="1"), "invalid"),
    "a cursor that is true": (frame("hello", cursor=True), "invalid"),
    "a cursor below zero": (frame("hello", cursor=-1), "invalid"),
    "an endless cursor": (frame("hello", cursor=2**70), "invalid"),
    "seen before hello": (frame("seen", seq=1), "invalid"),
    "nothing seen before hello": (frame("seen", seq=0), "invalid"),
    "an action without id": (frame("action", text="I wave."), "invalid"),
    "an id that is a number": (frame("action", id=1, text="I wave."), "invalid"),
    "an id with NUL": (frame("action", id="a\0", text="I wave."), "invalid"),
    "an endless id": (frame("action", id="x" * 101, text="I wave."), "invalid"),
    "an action without text": (frame("action", id="1"), "invalid"),
    "an empty text": (frame("action", id="1", text=" \n"), "invalid"),
    "a long text": (frame("action", id="1", text="x" * 4001), "invalid"),
    "a text with NUL": (frame("action", id="1", text="a\0b"), "invalid"),
    "a text with half a surrogate": ('{"type": "action", "id": "1", "text": "\\ud800"}', "invalid"),
    "a ping with more": (frame("ping", ping=1), "invalid"),
    "a word too many": (frame("action", id="1", text="I wave.", chnages=[]), "invalid"),
    "changes that are words": (frame("action", id="1", text="I wave.", changes="all"), "invalid"),
}


async def test_every_wrong_frame_is_answered_and_the_connection_lives(game: Game) -> None:
    async with entered(game, "player1") as client:
        for name, (wrong, code) in WRONG_FRAMES.items():
            await (client.send_bytes(wrong) if isinstance(wrong, bytes) else client.send_text(wrong))
            error = await client.receive()
            assert (error["type"], error["code"]) == ("error", code), name
            assert error["detail"], name
            assert len(json.dumps(error)) < 1000, name
        assert await client.is_silent()
    assert await in_thread(Job.objects.count) == 0


async def test_a_wrong_action_is_named_by_its_id_and_path(game: Game) -> None:
    async with entered(game, "player1") as client:
        await client.send("action", id="mine", text=7)
        assert await client.receive() == {
            "type": "error",
            "id": "mine",
            "code": "invalid",
            "detail": "text: Input should be a valid string",
            "fields": {"text": "Input should be a valid string"},
        }
