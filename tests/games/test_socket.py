"""A game's socket tells each event once, and whoever comes back or lags goes on where it stopped."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from django.db.models import QuerySet
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from accounts.threads import in_thread
from games.models import Game
from jobs.models import Job
from jobs.models_events import JobEvent
from tests import servers
from tests.games.sockets import TIMEOUT_SECONDS, Client, entered, frame
from tests.games.watching import act, bearer, tell
from tests.processes import Stack

pytestmark = pytest.mark.django_db(transaction=True)


async def test_nothing_is_told_before_hello_and_everything_after_it(game: Game) -> None:
    job = await in_thread(act, game)
    client = Client(f"/ws/games/{game.pk}/", await in_thread(bearer, "player2"))
    await client.open()
    assert await client.receive() == {"type": "welcome", "head": 1, "game": str(game.pk), "role": "player"}
    assert await client.is_silent()
    await client.send("hello", cursor=0)
    event = await client.receive()
    assert event.pop("at").endswith("Z")
    assert event == {
        "type": "event",
        "seq": 1,
        "event": "request.queued",
        "request_id": str(job.public_id),
        "kind": "player_action",
        "status": "queued",
        "data": {"kind": "player_action", "position": 0},
    }
    await in_thread(tell, job, "a")
    assert (await client.receive())["data"] == {"text": "a"}
    await client.close()


async def test_each_socket_gets_each_event_once_across_reconnects_while_many_write(game: Game) -> None:
    job = await in_thread(act, game)

    def write(writer: int) -> None:
        for turn in range(20):
            tell(job, f"{writer}.{turn}")

    async def follow(name: str, patience: int) -> list[int]:
        cursor, got = 0, []
        while cursor < 81:
            async with entered(game, name) as client:
                await client.send("hello", cursor=cursor)
                for event in await client.events(min(patience, 81 - cursor)):
                    cursor = event["seq"]
                    got.append(cursor)
        return got

    readers = [asyncio.create_task(follow(name, 7 + extra)) for name in ("player1", "dm") for extra in range(4)]
    await asyncio.gather(*(in_thread(write, writer) for writer in range(4)))
    assert await asyncio.gather(*readers) == [list(range(1, 82))] * 8


async def test_a_cursor_past_the_head_is_reset_to_it_and_the_socket_goes_on_from_there(game: Game) -> None:
    job = await in_thread(act, game)
    async with entered(game, "player1") as client:
        await client.send("hello", cursor=57)
        assert await client.receive() == {"type": "reset", "head": 1}
        await in_thread(tell, job, "a")
        assert (await client.receive())["seq"] == 2
        await client.send("hello", cursor=0)
        assert (await client.receive())["code"] == "hello_twice"


async def is_reset_without(game: Game, lost: QuerySet[JobEvent]) -> None:
    """With these of three events gone, who comes back after the first is told the head, and then what comes next."""
    job = await in_thread(act, game)
    await in_thread(tell, job, "a", "b")
    await in_thread(lost.delete)
    async with entered(game, "player1") as client:
        await client.send("hello", cursor=1)
        assert await client.receive() == {"type": "reset", "head": 3}
        await in_thread(tell, job, "c")
        assert (await client.receive())["seq"] == 4


async def test_where_events_are_missing_the_socket_says_so_and_goes_on_at_the_head(game: Game) -> None:
    await is_reset_without(game, JobEvent.objects.filter(seq=2))


async def test_where_nothing_is_left_after_the_cursor_the_socket_says_so_once(game: Game) -> None:
    await is_reset_without(game, JobEvent.objects.all())


async def test_a_page_may_know_more_than_the_follower_has_heard(
    game: Game, redis_server: servers.Redis, config: Callable[..., None]
) -> None:
    config(follow_seconds=3600)
    redis_server.stop()
    async with entered(game, "player1") as client:
        job = await in_thread(act, game)
        await in_thread(tell, job, "a", "b")
        await client.send("hello", cursor=2)
        assert (await client.receive())["seq"] == 3


async def test_members_act_and_see_while_redis_is_away(game: Game, redis_server: servers.Redis) -> None:
    redis_server.stop()
    async with entered(game, "player1") as mine, entered(game, "player2") as other:
        await other.send("hello", cursor=0)
        await mine.send("action", id="1", text="I wave.")
        ack = await mine.next("ack")
        assert (await other.next("event"))["request_id"] == ack["request_id"]


@asynccontextmanager
async def lagging(game: Game) -> AsyncIterator[Client]:
    """A socket that may leave three events unseen: of eight it was told those, and then only the head."""
    job = await in_thread(act, game)
    await in_thread(tell, job, *"abcdefg")
    async with entered(game, "player1") as client:
        await client.send("hello", cursor=0)
        assert [event["seq"] for event in await client.events(3)] == [1, 2, 3]
        assert await client.receive() == {"type": "head", "seq": 8}
        yield client


async def test_who_lags_gets_only_the_head_and_goes_on_where_it_stopped(
    game: Game, config: Callable[..., None]
) -> None:
    config(socket_unseen_limit=3)
    async with lagging(game) as client:
        await client.send("seen", seq=4)
        assert (await client.next("error"))["fields"].keys() == {"seq"}
        await client.send("seen", seq=2)
        assert [event["seq"] for event in await client.events(2)] == [4, 5]
        await client.send("seen", seq=5)
        assert [event["seq"] for event in await client.events(3)] == [6, 7, 8]


async def test_who_lags_and_says_hello_again_is_refused_and_goes_on_where_it_stopped(
    game: Game, config: Callable[..., None]
) -> None:
    config(socket_unseen_limit=3)
    async with lagging(game) as client:
        for cursor in (8, 9, 3):
            await client.send("hello", cursor=cursor)
            assert (await client.receive())["code"] == "hello_twice"
        await client.send("seen", seq=3)
        assert [(await client.receive()).get("seq") for _ in range(3)] == [4, 5, 6]


async def test_who_never_sees_is_closed(game: Game, config: Callable[..., None]) -> None:
    config(socket_unseen_limit=1, socket_unseen_seconds=0.3)
    job = await in_thread(act, game)
    await in_thread(tell, job, "a")
    async with entered(game, "player1") as client:
        await client.send("hello", cursor=0)
        assert (await client.next("error"))["code"] == "too_slow"
        assert await client.receive() == {"type": "closed", "code": 4408}


async def next_number(socket: ClientConnection) -> int:
    """Of the next event, passing over frames that are none."""
    while (message := json.loads(await asyncio.wait_for(socket.recv(), TIMEOUT_SECONDS)))["type"] != "event":
        pass
    number: int = message["seq"]
    return number


@pytest.mark.integration
async def test_over_a_real_server_a_client_resumes_after_it_was_killed(game: Game, stack: Stack) -> None:
    url = f"{stack.ws_url}/ws/games/{game.pk}/"
    headers = await in_thread(bearer, "player1")
    await in_thread(stack.start, "web")
    async with connect(url, additional_headers=headers) as socket:
        assert json.loads(await socket.recv())["type"] == "welcome"
        await socket.send(frame("action", id="1", text="I wave."))
        await socket.send(frame("hello", cursor=0))
        first = await next_number(socket)
        await socket.send("{")
        assert json.loads(await asyncio.wait_for(socket.recv(), TIMEOUT_SECONDS))["code"] == "malformed_json"
        await in_thread(stack.kill9, "web")
        with pytest.raises(ConnectionClosed):
            await asyncio.wait_for(socket.recv(), TIMEOUT_SECONDS)
    job = await in_thread(Job.objects.get)
    await in_thread(tell, job, "while nobody listened")
    await in_thread(stack.start, "web")
    async with connect(url, additional_headers=headers) as socket:
        await socket.send(frame("action", id="1", text="I wave."))
        await socket.send(frame("hello", cursor=first))
        assert (first, await next_number(socket)) == (1, 2)
    assert await in_thread(Job.objects.count) == 1
    assert "Traceback" not in await in_thread(stack.log, "web")
