"""The console keeps up wherever the game itself can be read, whatever becomes of its event stream."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial

import pytest

from console.errors import Refused
from console.patience import Patience
from tests.console import far
from tests.console.far import Behaviour, FarServer, refuses, streams
from tests.console.playing import playing
from tests.waiting import await_until

QUICK = Patience(
    silence_seconds=1,
    first_wait_seconds=0.05,
    longest_wait_seconds=0.2,
    poll_seconds=0.1,
    stream_again_seconds=0.3,
)


@pytest.fixture
def server() -> Iterator[FarServer]:
    with far.running() as server:
        yield server


@pytest.mark.parametrize(
    "spoilt",
    [
        refuses(503),
        refuses(502),
        refuses(429, "too_many_streams", Retry_After="0"),
        refuses(401),
        refuses(403),
        refuses(404),
        refuses(405),
        refuses(301),
        far.silent,
        far.resets,
        far.a_page,
    ],
)
async def test_without_a_stream_the_game_is_asked_until_one_works(server: FarServer, spoilt: Behaviour) -> None:
    server.stream = spoilt
    async with playing(server, QUICK) as (heard, _, task):
        await heard.says("asking every 0.1 s instead of a stream")
        for narration in ("The bell rings.", "It rings again."):
            server.tell(narration)
            await heard.says(narration)
        assert not task.done()
        server.stream = streams()
        await heard.says("connected")


async def test_the_indicator_follows_a_stream_that_ends_is_closed_off_and_works_again(server: FarServer) -> None:
    server.stream = far.ends
    async with playing(server, QUICK) as (heard, _, _):
        await heard.says("connected")
        server.stream = refuses(405)
        await heard.says("asking")
        server.stream = streams()
        await heard.says("connected", times=2)
        assert heard.connections()[-1] == "connected"


async def test_where_neither_stream_nor_game_can_be_read_it_is_not_connected(server: FarServer) -> None:
    server.stream = refuses(405)
    async with playing(server, QUICK) as (heard, _, task):
        await heard.says("asking")
        server.load = refuses(503)
        await heard.says("not connected: the server answered 503")
        server.load = far.as_it_stands
        await heard.says("asking", times=2)
        assert not task.done()


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_who_may_not_read_the_game_any_more_is_sent_away(server: FarServer, status: int) -> None:
    server.stream = far.silent
    async with playing(server, QUICK) as (heard, _, task):
        await heard.says("asking")
        server.stream = server.load = refuses(status, "forbidden")
        with pytest.raises(Refused, match="forbidden it is"):
            await asyncio.wait_for(task, 20)


async def test_a_server_in_trouble_at_the_start_is_waited_for(server: FarServer) -> None:
    server.stream, server.load = streams(), refuses(502)
    async with playing(server, QUICK) as (heard, _, _):
        await heard.says("not connected: the server answered 502", times=3)
        server.load = far.as_it_stands
        await heard.says("connected")
    server.load = refuses(404, "not_found")
    async with playing(server, QUICK) as (heard, _, task):
        with pytest.raises(Refused, match="not_found it is"):
            await asyncio.wait_for(task, 20)


async def test_streams_are_tried_more_rarely_where_asking_does(server: FarServer) -> None:
    server.stream = refuses(405)
    rare = partial(Patience, silence_seconds=1, first_wait_seconds=0.05, longest_wait_seconds=0.1, poll_seconds=0.02)
    async with playing(server, rare(stream_again_seconds=60)) as (heard, _, _):
        await heard.says("asking")
        await await_until(lambda: _async(len(server.asked) > 100), timeout=20, what="a hundred questions")
    assert sum(path.startswith("/v1/events/") for path in server.asked) < 12


async def _async(value: bool) -> bool:
    return value
