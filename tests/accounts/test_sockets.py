"""Who a WebSocket is opened for, and for how long."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import User
from django.db import connections
from django.test import Client

from accounts import tokens
from accounts.models import ApiToken, Scope
from accounts.sockets import Receive, Send, SocketAuthentication
from accounts.threads import in_thread

pytestmark = [pytest.mark.fast, pytest.mark.django_db(transaction=True)]

OURS = {"Host": "testserver:8000", "Origin": "http://testserver:8000"}


async def who(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Says who is there, and on every message whether that still holds."""
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": f"{scope['user']} {sorted(scope['token_scopes'])}"})
    while (await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": str(await scope["revalidate"]())})


Open = Callable[[dict[str, str]], Awaitable[WebsocketCommunicator]]


@pytest.fixture
async def open_socket() -> AsyncIterator[Open]:
    opened: list[WebsocketCommunicator] = []

    async def open_one(headers: dict[str, str]) -> WebsocketCommunicator:
        raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        opened.append(WebsocketCommunicator(SocketAuthentication(who), "/ws/", headers=raw))
        return opened[-1]

    yield open_one
    for socket in opened:
        await socket.disconnect()


@pytest.fixture
def ada() -> User:
    return User.objects.create_user("ada", password="old password")


@pytest.fixture
def cookie(ada: User) -> dict[str, str]:
    client = Client()
    client.force_login(ada)
    return {"Cookie": f"sessionid={client.cookies['sessionid'].value}"}


@pytest.fixture
def bearer(ada: User) -> dict[str, str]:
    _, raw = tokens.issue(ada, "program", ["read"])
    return {"Authorization": f"Bearer {raw}"}


async def still_valid(socket: WebsocketCommunicator) -> bool:
    await socket.send_to(text_data="?")
    return bool(await socket.receive_from() == "True")


async def is_refused(socket: WebsocketCommunicator) -> bool:
    connected, _ = await socket.connect()
    assert connected
    error = json.loads(await socket.receive_from())
    assert (error["type"], error["code"]) == ("error", "unauthorized")
    return bool(await socket.receive_output() == {"type": "websocket.close", "code": 4401})


async def test_a_page_of_ours_is_known_by_its_session(open_socket: Open, cookie: dict[str, str]) -> None:
    socket = await open_socket(OURS | cookie)
    assert (await socket.connect())[0]
    assert await socket.receive_from() == f"ada {sorted(Scope.values)}"


async def test_a_program_is_known_by_its_token_from_anywhere(
    open_socket: Open, cookie: dict[str, str], bearer: dict[str, str]
) -> None:
    for headers in (bearer, bearer | {"Origin": "http://evil.example"}, bearer | cookie):
        socket = await open_socket(headers)
        assert (await socket.connect())[0]
        assert await socket.receive_from() == "ada ['read']"


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "testserver:8000", "Origin": "http://evil.example"},
        {"Host": "testserver:8000", "Origin": "http://testserver:9000"},
        {"Host": "testserver:8000", "Origin": "https://testserver:8000"},
        {"Host": "testserver:8000", "Origin": "http://testserver"},
        {"Host": "testserver:8000", "Origin": "null"},
        {"Host": "testserver:8000", "Origin": ""},
        {"Host": "testserver:8000"},
        {"Host": "evil.example", "Origin": "http://evil.example"},
        {"Origin": "http://testserver:8000"},
    ],
)
async def test_a_foreign_page_is_denied_at_the_handshake(
    open_socket: Open, cookie: dict[str, str], headers: dict[str, str]
) -> None:
    socket = await open_socket(headers | cookie)
    assert await socket.connect() == (False, 1000)


async def test_a_trusted_origin_is_ours(open_socket: Open, cookie: dict[str, str], settings: Any) -> None:
    settings.CSRF_TRUSTED_ORIGINS = ["https://play.example"]
    socket = await open_socket({"Host": "testserver:8000", "Origin": "https://play.example"} | cookie)
    assert (await socket.connect())[0]


async def test_without_a_session_the_page_is_told_and_closed(open_socket: Open) -> None:
    assert await is_refused(await open_socket(OURS))
    assert await is_refused(await open_socket(OURS | {"Cookie": "sessionid=madeup"}))


async def test_a_bad_token_is_told_and_closed_even_with_a_good_session(
    open_socket: Open, cookie: dict[str, str]
) -> None:
    for header in ("Bearer qp_no_such", "Basic x", ""):
        assert await is_refused(await open_socket(OURS | cookie | {"Authorization": header}))


async def test_a_socket_by_token_ends_with_its_token(open_socket: Open, bearer: dict[str, str]) -> None:
    socket = await open_socket(bearer)
    await socket.connect()
    await socket.receive_from()
    assert await still_valid(socket)
    await in_thread(lambda: tokens.revoke(ApiToken.objects.select_related("user").get()))
    assert not await still_valid(socket)


@pytest.mark.parametrize("end", ["sign out", "new password", "locked out"])
async def test_a_socket_by_session_ends_with_its_session(
    open_socket: Open, cookie: dict[str, str], ada: User, end: str
) -> None:
    def end_it() -> None:
        match end:
            case "sign out":
                client = Client()
                client.cookies["sessionid"] = cookie["Cookie"].removeprefix("sessionid=")
                client.post("/sign-out/")
            case "new password":
                ada.set_password("new password")
                ada.save()
            case "locked out":
                User.objects.update(is_active=False)

    socket = await open_socket(OURS | cookie)
    await socket.connect()
    await socket.receive_from()
    assert await still_valid(socket)
    await in_thread(end_it)
    assert not await still_valid(socket)


async def test_work_in_threads_leaves_no_open_connection(ada: User) -> None:
    def query_and_look() -> tuple[int, object]:
        return User.objects.count(), connections["default"]

    count, connection = await in_thread(query_and_look)
    assert count == 1
    assert getattr(connection, "connection", None) is None
