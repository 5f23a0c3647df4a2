"""The decision queue's socket: it says that something has changed, to those who decide there and nobody else."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator
from django.conf import settings
from django.contrib.auth.models import User

from accounts import tokens
from accounts.models import ApiToken
from accounts.threads import in_thread
from approvals.models import Approval
from approvals.operations import decide
from approvals.signals import decider_present
from jobs.models import Job, Scope
from jobs.testing import run_until_idle
from queueproject.asgi import application
from tests import servers
from tests.approvals.conftest import Cast
from tests.approvals.tables import Table, Tables, approval_of
from tests.waiting import await_until

pytestmark = pytest.mark.django_db(transaction=True)

Say = Callable[..., Job]
Frame = dict[str, Any]
TIMEOUT_SECONDS = 10.0
NEWS: Frame = {"type": "changed", "approval": None, "version": None}


@pytest.fixture
def met(table: Table) -> None:
    """Something was asked at the table before."""
    Scope.objects.create(key=table.key)


class Client:
    """A program at the other end of a socket of this process's application."""

    def __init__(self, headers: dict[str, str]) -> None:
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        scope = {"type": "websocket", "path": "/ws/decisions/", "query_string": b"", "headers": raw, "subprotocols": []}
        self._app: Any = ApplicationCommunicator(application, scope)  # type: ignore[no-untyped-call]

    async def open(self) -> str:
        await self._app.send_input({"type": "websocket.connect"})
        answer: str = (await self._app.receive_output(TIMEOUT_SECONDS))["type"]
        return answer

    async def close(self) -> None:
        await self._app.send_input({"type": "websocket.disconnect", "code": 1000})
        await self._app.wait(TIMEOUT_SECONDS)

    async def send(self, text: str) -> None:
        await self._app.send_input({"type": "websocket.receive", "text": text})

    async def receive(self) -> Frame:
        """The next frame; a close is one of type ``closed``."""
        message = await self._app.receive_output(TIMEOUT_SECONDS)
        if message["type"] == "websocket.close":
            return {"type": "closed", "code": message["code"]}
        frame: Frame = json.loads(message["text"])
        return frame

    async def closed(self) -> tuple[str, int]:
        """The error that was sent and the close code, passing over what came before."""
        while (frame := await self.receive())["type"] != "error":
            pass
        return frame["code"], (await self.receive())["code"]

    async def is_silent(self) -> bool:
        """Whether nothing had been sent before the answer to a ping."""
        await self.send('{"type": "ping"}')
        return await self.receive() == {"type": "pong"}


def token_of(user: User, *scopes: str) -> tuple[ApiToken, dict[str, str]]:
    token, raw = tokens.issue(user, "test", scopes or ("decide",))
    return token, {"authorization": f"Bearer {raw}"}


@asynccontextmanager
async def connected(user: User) -> AsyncIterator[Client]:
    """A socket that has been told to ask for what there is."""
    _, headers = await in_thread(token_of, user)
    client = Client(headers)
    assert await client.open() == "websocket.accept"
    assert await client.receive() == NEWS
    try:
        yield client
    finally:
        await client.close()


def accept(user: User, approval: Approval, version: int = 1) -> None:
    decide(user=user, approval_id=approval.pk, version=version, decision="accept")


@pytest.mark.usefixtures("met")
async def test_each_event_of_an_approval_is_told(say: Say, cast: Cast) -> None:
    async with connected(cast.dm) as dm, connected(cast.dm2) as dm2:
        approval = await in_thread(lambda: approval_of(say()))
        about = {"type": "changed", "approval": str(approval.pk), "version": 1}
        assert [await dm.receive(), await dm2.receive()] == [about, about]
        await in_thread(
            lambda: decide(user=cast.dm, approval_id=approval.pk, version=1, decision="reject", regenerate=True)
        )
        assert await dm2.receive() == about
        await in_thread(run_until_idle)
        assert await dm2.receive() == {**about, "version": 2}
        await in_thread(accept, cast.dm2, approval, 2)
        assert await dm2.receive() == {**about, "version": 2}


@pytest.mark.usefixtures("met")
async def test_those_who_decide_elsewhere_hear_nothing(say: Say, cast: Cast) -> None:
    async with connected(cast.other_dm) as other, connected(cast.dm) as dm:
        await in_thread(say)
        await dm.receive()
        assert await other.is_silent()


@pytest.mark.parametrize("who", ["player", "stranger"])
async def test_who_decides_nowhere_is_turned_away(table: Table, cast: Cast, who: str) -> None:
    _, headers = await in_thread(token_of, getattr(cast, who))
    client = Client(headers)
    await client.open()
    assert await client.closed() == ("forbidden", 4403)


async def test_a_token_needs_the_scope(table: Table, cast: Cast) -> None:
    _, headers = await in_thread(token_of, cast.dm, "read", "play")
    client = Client(headers)
    await client.open()
    assert await client.closed() == ("forbidden", 4403)


async def test_nobody_is_let_in_without_signing_in_or_from_elsewhere(table: Table) -> None:
    client = Client({"host": "localhost", "origin": "http://localhost"})
    await client.open()
    assert await client.closed() == ("unauthorized", 4401)
    assert await Client({"host": "localhost", "origin": "http://evil.example"}).open() == "websocket.close"


async def test_a_revoked_token_ends_the_socket(table: Table, cast: Cast) -> None:
    token, headers = await in_thread(token_of, cast.dm)
    client = Client(headers)
    await client.open()
    await in_thread(tokens.revoke, token)
    assert await client.closed() == ("unauthorized", 4401)


@pytest.mark.usefixtures("met")
async def test_a_table_one_comes_to_decide_at_is_followed_and_one_left_is_not(
    say: Say, tables: Tables, table: Table, cast: Cast
) -> None:
    async with connected(cast.other_dm) as client:
        table.deciders.append(cast.other_dm)
        assert await client.receive() == NEWS
        approval = await in_thread(lambda: approval_of(say()))
        assert (await client.receive())["approval"] == str(approval.pk)
        table.deciders.remove(cast.other_dm)
        assert await client.receive() == NEWS
        await in_thread(say)
        assert await client.is_silent()
        tables.tables["table:other"].deciders.clear()
        assert await client.closed() == ("forbidden", 4403)


async def test_a_table_where_nothing_was_ever_asked_is_followed_from_its_first_request(
    say: Say, table: Table, cast: Cast
) -> None:
    async with connected(cast.dm) as client:
        approval = await in_thread(lambda: approval_of(say()))
        assert await client.receive() == NEWS
        await in_thread(accept, cast.dm, approval)
        assert (await client.receive())["approval"] == str(approval.pk)


@pytest.mark.usefixtures("met")
async def test_without_redis_news_comes_a_moment_later(say: Say, cast: Cast, redis_server: servers.Redis) -> None:
    async with connected(cast.dm) as client:
        redis_server.stop()
        approval = await in_thread(lambda: approval_of(say()))
        assert (await client.receive())["approval"] == str(approval.pk)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", "malformed_json"),
        ("[]", "invalid"),
        ('{"type": "dance"}', "invalid"),
        ('{"type": "ping", "why": 1}', "invalid"),
        ("{}", "invalid"),
        ('{"type": "ping"}' + " " * 70_000, "too_large"),
    ],
)
async def test_a_wrong_frame_is_answered_and_the_socket_lives(table: Table, cast: Cast, text: str, code: str) -> None:
    async with connected(cast.dm) as client:
        await client.send(text)
        frame = await client.receive()
        assert (frame["type"], frame["code"]) == ("error", code)
        assert await client.is_silent()


async def test_rooms_above_hear_who_is_here(table: Table, cast: Cast) -> None:
    here: list[User] = []

    def note(user: User, **_: Any) -> None:
        here.append(user)

    decider_present.connect(note)
    try:
        async with connected(cast.dm):

            async def twice() -> bool:
                return here[:2] == [cast.dm, cast.dm]

            await await_until(twice, what=f"{here} every {settings.CONFIG.presence_write_seconds} s")
    finally:
        decider_present.disconnect(note)
