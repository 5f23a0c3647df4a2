"""The operators' socket and page: who may watch the queues, how often they are asked, and what it costs."""

from __future__ import annotations

import asyncio
import json
import re
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator
from django.contrib.auth.models import User
from django.test import Client as Browser

from accounts import tokens
from accounts.models import Scope
from accounts.threads import in_thread
from jobs.models import Job
from jobs.operations.enqueue import enqueue, enqueue_many
from jobs.overview import look, overview
from queueproject.asgi import application
from tests.jobs.kinds import ECHO, Plan

pytestmark = pytest.mark.django_db(transaction=True)

Config = Callable[..., None]
Frame = dict[str, Any]
TIMEOUT_SECONDS = 10.0


@pytest.fixture(autouse=True)
def _nothing_kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("jobs.consumers.EVERY_SECONDS", 0.02)
    overview.forget()
    yield
    overview.forget()


@pytest.fixture
def staff() -> User:
    return User.objects.create_user("staff", is_staff=True)


class Client:
    """A program at the other end of a socket of this process's application."""

    def __init__(self, user: User, *scopes: str) -> None:
        raw = tokens.issue(user, "test", scopes or (Scope.METRICS,))[1]
        headers = [(b"authorization", f"Bearer {raw}".encode())]
        scope = {"type": "websocket", "path": "/ws/ops/", "query_string": b"", "headers": headers, "subprotocols": []}
        self._app: Any = ApplicationCommunicator(application, scope)  # type: ignore[no-untyped-call]

    async def open(self) -> None:
        await self._app.send_input({"type": "websocket.connect"})
        assert (await self._app.receive_output(TIMEOUT_SECONDS))["type"] == "websocket.accept"

    async def close(self) -> None:
        await self._app.send_input({"type": "websocket.disconnect", "code": 1000})
        await self._app.wait(TIMEOUT_SECONDS)

    async def send(self, text: str) -> None:
        await self._app.send_input({"type": "websocket.receive", "text": text})

    async def receive(self) -> Frame:
        message = await self._app.receive_output(TIMEOUT_SECONDS)
        if message["type"] == "websocket.close":
            return {"type": "closed", "code": message["code"]}
        frame: Frame = json.loads(message["text"])
        return frame

    async def closed(self) -> tuple[str, int]:
        """The error and the close code, passing over what came before."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while (frame := await self.receive())["type"] != "error":
                pass
        return frame["code"], (await self.receive())["code"]


@asynccontextmanager
async def connected(user: User) -> AsyncIterator[Client]:
    client = await in_thread(Client, user)
    await client.open()
    try:
        yield client
    finally:
        await client.close()


def depth_of(frame: Frame, name: str) -> int:
    depths: list[int] = [queue["depth"] for queue in frame["queues"] if queue["name"] == name]
    return depths[0]


async def test_the_status_comes_at_once_and_again_when_it_is_asked_anew(staff: User, config: Config) -> None:
    config(status_cache_seconds=0.1)
    async with connected(staff) as client:
        first = await client.receive()
        assert (first["type"], depth_of(first, "system")) == ("queue.status", 0)
        await in_thread(lambda: enqueue(ECHO, Plan()))
        while depth_of(await client.receive(), "system") != 1:
            pass


async def test_what_is_kept_is_told_once_and_the_queues_are_asked_once_for_all(
    staff: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def counted() -> Any:
        asked.append(1)
        return look()

    monkeypatch.setattr(overview, "_load", counted)
    await in_thread(overview.read)  # with nothing kept yet, several may ask at once
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connected(staff)) for _ in range(5)]
        frames = [await client.receive() for client in clients]
        assert len({frame["at"] for frame in frames}) == 1
        await asyncio.sleep(0.2)  # many turns of each socket, none of which may find anything new to tell
        await clients[0].send('{"type": "ping"}')
        assert await clients[0].receive() == {"type": "pong"}
    assert len(asked) == 1


async def test_who_is_no_staff_is_turned_away() -> None:
    player = await in_thread(lambda: User.objects.create_user("player"))
    client = await in_thread(Client, player)
    await client.open()
    assert await client.closed() == ("forbidden", 4403)


async def test_a_token_needs_the_scope(staff: User) -> None:
    client = await in_thread(Client, staff, "read", "play", "decide")
    await client.open()
    assert await client.closed() == ("forbidden", 4403)


async def test_who_is_staff_no_longer_is_shown_out(staff: User) -> None:
    client = await in_thread(Client, staff)
    await client.open()
    await client.receive()
    await in_thread(lambda: User.objects.update(is_staff=False))
    assert await client.closed() == ("forbidden", 4403)


async def test_a_wrong_frame_is_answered_and_the_socket_lives(staff: User) -> None:
    async with connected(staff) as client:
        await client.receive()
        await client.send('{"type": "dance"}')
        assert (await client.receive())["code"] == "invalid"
        await client.send('{"type": "ping"}')
        assert await client.receive() == {"type": "pong"}


async def test_monitoring_stays_small_however_much_waits_and_however_many_watch(
    staff: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.consumers.EVERY_SECONDS", 1.0)
    await in_thread(lambda: enqueue_many(ECHO, [Plan(text="x" * 1000)] * 1000))
    async with AsyncExitStack() as stack:
        tracemalloc.start()
        try:
            clients = [await stack.enter_async_context(connected(staff)) for _ in range(30)]
            for client in clients:
                assert depth_of(await client.receive(), "system") == 1000
            for _ in range(10):
                await in_thread(look)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 5 * 2**20, f"{peak / 2**20:.1f} MB"


# -- the page --------------------------------------------------------------------------------------------------------


def cells(html: str, queue: str) -> dict[str, str]:
    """What the page's row of this queue says."""
    row = html.partition(f'data-queue="{queue}"')[2].partition("</tr>")[0]
    return dict(re.findall(r'<td [^>]*data-field="(\w+)">([^<]*)<', row))


def test_the_page_tells_how_each_queue_stands(staff: User, client: Browser) -> None:
    enqueue(ECHO, Plan())
    Job.objects.update(queued_at="2020-01-01T00:00:00Z")
    client.force_login(staff)
    html = client.get("/ops/").content.decode()
    row = cells(html, "system")
    assert (row["depth"], row["running"], row["workers"]) == ("1", "0", "0")
    assert int(row["oldest_seconds"].removesuffix(" s")) > 86400
    assert cells(html, "llm")["oldest_seconds"] == "\N{EN DASH}"
    assert cells(html, "dm_approvals")["depth"] == "0"


def test_the_admin_leads_to_the_page(staff: User, client: Browser) -> None:
    client.force_login(staff)
    assert '<a href="/ops/">Queues</a>' in client.get("/admin/").content.decode()


def test_the_page_is_for_staff(client: Browser) -> None:
    assert client.get("/ops/").headers["Location"].startswith("/sign-in/")
    client.force_login(User.objects.create_user("player"))
    assert client.get("/ops/").status_code == 403
