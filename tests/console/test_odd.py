"""What no server of ours would say ends nothing: it is noted in a line, and the rest is told."""

from __future__ import annotations

import asyncio
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from console.api import ANSWER_BYTES
from console.asked import Asked
from console.errors import Refused
from console.notices import UNSHOWN
from console.patience import Patience
from console.plain import Lines
from tests.console import far
from tests.console.far import Behaviour, Exchange, FarServer, refuses, says
from tests.console.playing import playing
from tests.waiting import await_until

QUICK = Patience(first_wait_seconds=0.05, longest_wait_seconds=0.1, poll_seconds=0.03, stream_again_seconds=0.1)
CONSOLE = [sys.executable, "-m", "console", "--plain", "--token", "t", "--game", "g"]

FIELDS = {"request_id": "r", "kind": "chat", "status": "processing", "at": "", "data": {}}
CHUNK = {"attempt": 1, "index": 0, "content": "x", "done": False}
ODD_VALUES: list[Any] = [None, True, 7, -1, 1.5, "", "x", "x" * 2000, [], [1], {}, {"x": {}}, "\x1b[2J", "\ud800"]
NAMES = [
    "request.queued",
    "request.position",
    "request.failed",
    "approval.required",
    "llm.processing",
    "chat.chunk",
    "story.triggered",
    "closed",
    "reset",
]


@pytest.fixture
def server() -> Iterator[FarServer]:
    with far.running() as server:
        yield server


def event(name: str, data: object) -> bytes:
    return f"event: {name}\ndata: {data if isinstance(data, str) else json.dumps(data)}\n\n".encode()


def odd_events() -> Iterator[bytes]:
    for name in NAMES:
        yield from (event(name, json.dumps(value)) for value in ODD_VALUES)
        yield event(name, "{no json")
        yield event(name, "[" * 5000)
        for field in FIELDS:
            yield event(name, {key: value for key, value in FIELDS.items() if key != field})
            yield from (event(name, FIELDS | {field: value}) for value in ODD_VALUES)
    for field in CHUNK:
        yield from (event("chat.chunk", FIELDS | {"data": CHUNK | {field: value}}) for value in ODD_VALUES)
    yield from (event("request.queued", FIELDS | {"data": {"position": value}}) for value in ODD_VALUES)
    yield from (event("request.failed", FIELDS | {"status": "failed", "data": value}) for value in ODD_VALUES)
    yield from (event(f"game.{name}", {}) for name in ("flown", "\x1b[31m", "x" * 5000))
    yield from (b"id: " + number + b"\n\n" for number in (b"9" * 5000, b"-1", b"x", b"\xff", "²".encode(), b""))
    yield b"nonsense\n\n\x00\x01: \n: \nevent\ndata\n\nretry: soon\n\n"


async def test_odd_events_are_noted_and_the_next_ones_told(server: FarServer) -> None:
    server.requests["r"] = {"status": "processing"}
    server.stream = far.streams(*odd_events(), event("story.triggered", FIELDS | {"data": {"count": 2}}))
    async with playing(server, QUICK) as (heard, _, task):
        await heard.says("2 things stir in the story")
        assert not task.done()
        noted = [notice.text for notice in heard.notices if notice.text.startswith("passed over: ")]
        assert "passed over: chat.chunk.request_id is missing or not as expected" in noted
        assert "passed over: request.queued is no object" in noted
        assert "passed over: game.flown means nothing to this client" in noted
        assert len(noted) == len(set(noted))
        assert max(map(len, noted)) < 300
        assert heard.connections() == ["connected"], "none of them cost the connection"
        out = io.StringIO()
        for notice in heard.notices:
            Lines(out).tell(notice)
        assert not UNSHOWN.search(out.getvalue())


GAME = {"name": "Far", "opening": "Fog.", "state": {}, "turn": 0, "cursor": 0}


BODIES = [
    b"<html>sign in</html>",
    b"",
    b"\xff\xfe",
    b"[]",
    b"null",
    b"[" * 50_000,
    b'{"state":' * 300 + b"{}" + b"}" * 300,
    *(json.dumps({key: value for key, value in GAME.items() if key != name}).encode() for name in GAME),
    *(json.dumps(GAME | {name: ["?"]}).encode() for name in GAME),
]


@pytest.mark.parametrize("body", BODIES)
async def test_a_game_that_is_no_game_is_asked_for_again(server: FarServer, body: bytes) -> None:
    server.stream, server.load = far.streams(), says(body)
    async with playing(server, QUICK) as (heard, _, _):
        await heard.says("not connected: ", times=2)
        server.load = far.as_it_stands
        await heard.says("connected")


@pytest.mark.parametrize("path", ["/turns", "/v1/games/g", "/v1/requests/"])
async def test_odd_answers_later_end_nothing(server: FarServer, path: str) -> None:
    def spoils(body: bytes) -> Behaviour:
        return lambda exchange: (says(body) if path in exchange.path else far.as_it_stands)(exchange)

    server.stream = refuses(405)
    server.requests["r"] = {"status": "queued"}
    async with playing(server, QUICK) as (heard, session, task):
        session.asked.append(Asked("chat", "Hello", id="r", status="processing"))
        for number, body in enumerate(BODIES):
            server.load = spoils(body)
            asked = len(server.asked)
            await await_until(partial(has, server, asked + 4), timeout=20)
            server.load = far.as_it_stands
            server.tell(f"The bell rings {number} times.")
            await heard.says(f"The bell rings {number} times.")
        assert not task.done()


async def has(server: FarServer, questions: int) -> bool:
    return len(server.asked) >= questions


async def test_a_turn_that_is_odd_is_passed_over_and_one_that_comes_again_is_not_told_again(server: FarServer) -> None:
    server.stream = refuses(405)
    server.tell("First.")
    server.turns.append({"number": 2, "narration": 7})
    server.turns.append(server.turns[0] | {"number": 3, "changes": [{"op": "set"}]})
    server.tell("Fourth.")
    async with playing(server, QUICK) as (heard, _, task):
        await heard.says("Fourth.")
        await heard.says("passed over: turn 2: ")
        await heard.says("passed over: turn 3: ")
        await heard.says("asking")
        server.load = repeats
        await heard.says("not connected: the server tells the same turns again")
        server.load = far.as_it_stands
        server.tell("Fifth.")
        await heard.says("Fifth.")
        assert sum(notice.text == "First." for notice in heard.notices) == 1
        assert not task.done()


def repeats(exchange: Exchange) -> None:
    """A server that does not know ``after``."""
    if "/turns" in exchange.path:
        return exchange.answer(200, json.dumps({"items": exchange.server.turns[:1]}).encode())
    return far.as_it_stands(exchange)


async def test_an_answer_of_many_megabytes_is_not_read_to_its_end(server: FarServer) -> None:
    server.stream, server.load = far.streams(), says(b" " * (ANSWER_BYTES + 1))
    async with playing(server, QUICK) as (heard, _, _):
        await heard.says("not connected: the server answered with more than 16 MB")


async def test_one_that_points_elsewhere_is_said_with_the_address(server: FarServer) -> None:
    server.load = refuses(308, Location="https://elsewhere.example/v1/")
    async with playing(server, QUICK) as (_, _, task):
        with pytest.raises(Refused, match="308 and points to https://elsewhere"):
            await asyncio.wait_for(task, 20)


@pytest.mark.parametrize("after", ["9" * 400, "99999"])
async def test_who_asks_for_a_year_is_given_minutes(server: FarServer, after: str) -> None:
    server.load = refuses(429, "slow", Retry_After=after)
    async with playing(server, QUICK) as (heard, _, _):
        await heard.says("not connected: slow it is; again in 600.0 s")


def plain(server: str, *arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    command = [*CONSOLE, "--server", server, *arguments]
    return subprocess.run(command, input=typed, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("typed", ["", "Hello?\n"])
def test_who_is_never_connected_does_not_wait_for_ever(server: FarServer, typed: str) -> None:
    server.load = refuses(503)
    ended = plain(server.url, "--timeout", "0.5", typed=typed)
    assert (ended.returncode, ended.stderr) == (1, "")
    assert ended.stdout.splitlines()[-1] == "error: no connection for 0.5 s"


@pytest.mark.parametrize("seconds", ["0", "-1", "nan"])
def test_a_time_that_is_none_is_said_in_a_line(seconds: str) -> None:
    ended = plain("http://127.0.0.1:9", "--timeout", seconds)
    assert (ended.returncode, ended.stderr[:9], ended.stderr.count("\n")) == (2, "--timeout", 1)


def test_when_nobody_reads_any_more_it_ends_without_a_word(server: FarServer) -> None:
    server.stream = far.streams()
    reading, writing = os.pipe()
    os.close(reading)
    with subprocess.Popen(
        [*CONSOLE, "--server", server.url], stdin=subprocess.PIPE, stdout=writing, stderr=subprocess.PIPE, text=True
    ) as process:
        os.close(writing)
        assert (process.wait(60), process.communicate()[1]) == (1, "")
