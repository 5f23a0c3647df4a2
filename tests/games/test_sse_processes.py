"""Event streams of a real web process: killed, stopped, with five hundred open."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from accounts.threads import in_thread
from games.models import Game, Membership
from jobs.events.ledger import ledger
from jobs.models import Job
from jobs.models_events import JobEvent
from tests.games.streams import of_game, of_request
from tests.games.watching import act, bearer, user
from tests.processes import Stack
from tests.sse import Event, parse

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

STREAMS = 500
NO_TIMEOUT = httpx.Timeout(10, read=60)


class Follower:
    """A program that reads a game's stream and comes back with its cursor whenever it breaks off."""

    def __init__(self, stack: Stack, path: str, headers: dict[str, str]) -> None:
        self.seen: list[int] = []
        self.cuts = 0
        self._address = f"{stack.base_url}{path}"
        self._headers = headers

    async def follow_to(self, last: int) -> None:
        async with httpx.AsyncClient(timeout=NO_TIMEOUT) as client:
            while not self.seen or self.seen[-1] < last:
                try:
                    await self._read(client, last)
                except httpx.TransportError:
                    self.cuts += 1
                    await asyncio.sleep(0.05)

    async def _read(self, client: httpx.AsyncClient, last: int) -> None:
        cursor = {"Last-Event-ID": str(self.seen[-1] if self.seen else 0)}
        async with client.stream("GET", self._address, headers=self._headers | cursor) as answer:
            assert answer.status_code == 200
            async for event in blocks(answer):
                if event.id is not None:
                    self.seen.append(event.id)
                    if event.id >= last:
                        return


async def blocks(answer: httpx.Response) -> AsyncIterator[Event]:
    """The stream's blocks as they come, but how the queues stand and that it is alive, which come when they like."""
    text = ""
    async for part in answer.aiter_text():
        text += part
        while "\n\n" in text:
            block, _, text = text.partition("\n\n")
            event = parse(block)
            if event.event != "queue.status" and not event.comment:
                yield event


def tell(job: Job, count: int) -> None:
    for number in range(count):
        with ledger() as book:
            book.tell(job, "game.state_updated", {"number": number})


async def test_readers_of_a_killed_web_process_come_back_and_have_exactly_what_the_table_has(
    stack: Stack, game: Game
) -> None:
    job = await in_thread(act, game)
    await in_thread(stack.start, "web")
    followers = [Follower(stack, of_game(game), await in_thread(bearer, name)) for name in ("player1", "dm")]
    async with asyncio.timeout(120):
        reading = [asyncio.create_task(each.follow_to(121)) for each in followers]
        for _ in range(2):
            await in_thread(tell, job, 20)
            await in_thread(stack.kill9, "web")
            await in_thread(tell, job, 20)
            await in_thread(stack.start, "web")
        await in_thread(tell, job, 40)
        await asyncio.gather(*reading)
    table = await in_thread(
        lambda: list(JobEvent.objects.exclude(seq=None).order_by("seq").values_list("seq", flat=True))
    )
    assert table == list(range(1, 122))
    assert [each.seen for each in followers] == [table, table]
    assert all(each.cuts >= 2 for each in followers)


async def test_a_web_process_that_is_told_to_stop_ends_its_streams_as_http_has_it(stack: Stack, game: Game) -> None:
    await in_thread(stack.start, "web")
    headers = await in_thread(bearer, "player1")
    async with (
        httpx.AsyncClient(timeout=NO_TIMEOUT) as client,
        client.stream("GET", f"{stack.base_url}{of_game(game)}", headers=headers) as answer,
    ):
        told = blocks(answer)
        assert (await anext(told)).retry == 1000
        assert (await anext(told)).id == 0
        stack.signal("web", signal.SIGTERM)
        assert [event async for event in told] == []
    await in_thread(stack.wait, "web")
    assert "Traceback" not in stack.log("web")


async def test_five_hundred_streams_cost_no_thread_each_and_all_are_told(stack: Stack, game: Game) -> None:
    job = await in_thread(act, game)
    await in_thread(lambda: stack.start("web", STREAM_LIMIT=str(STREAMS)))
    headers = await in_thread(bearer, "player1")
    limits = httpx.Limits(max_connections=None)
    async with AsyncExitStack() as open_streams:
        client = await open_streams.enter_async_context(httpx.AsyncClient(timeout=NO_TIMEOUT, limits=limits))

        async def open_one() -> AsyncIterator[Event]:
            request = client.stream("GET", f"{stack.base_url}{of_game(game)}", headers=headers)
            answer = await open_streams.enter_async_context(request)
            assert answer.status_code == 200
            told = blocks(answer)
            await anext(told)
            await anext(told)
            return told

        told = [await open_one() for _ in range(STREAMS)]
        assert threads(stack.pid("web")) < 40
        await in_thread(tell, job, 1)
        async with asyncio.timeout(30):
            events = await asyncio.gather(*(anext(each) for each in told))
        assert {event.id for event in events} == {2}
        assert threads(stack.pid("web")) < 40


def threads(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


async def test_who_leaves_the_game_is_shown_out_by_a_real_web_process(stack: Stack, game: Game) -> None:
    job = await in_thread(act, game)
    await in_thread(stack.start, "web")
    headers = await in_thread(bearer, "player2")
    async with httpx.AsyncClient(timeout=NO_TIMEOUT) as client:
        for path in (of_game(game), of_request(job)):
            async with client.stream("GET", f"{stack.base_url}{path}", headers=headers) as answer:
                told = blocks(answer)
                await anext(told)
                await in_thread(lambda: Membership.objects.filter(user=user("player2")).delete())
                async with asyncio.timeout(5):
                    rest: list[Any] = [event async for event in told]
                assert rest[-1].event == "closed"
            assert (await client.get(f"{stack.base_url}{path}", headers=headers)).status_code == 404
            await in_thread(lambda: Membership.objects.create(user=user("player2"), game=game))
