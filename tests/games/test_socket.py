"""A game's socket: who may open it, what it tells, what it takes, and that it never loses or repeats an event."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
from asgiref.testing import ApplicationCommunicator
from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import OperationalError
from django.test import Client as Browser
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from accounts import tokens
from accounts.models import ApiToken, Scope
from accounts.threads import in_thread
from games import operations
from games.attendance import attendance
from games.models import Game, Membership, Role
from jobs import queue_settings
from jobs.events.ledger import ledger
from jobs.models import Job, JobEvent
from queueproject.asgi import application
from queueproject.env import QueueDefaults
from tests import servers
from tests.cast import Cast
from tests.processes import Stack
from tests.waiting import await_until

pytestmark = pytest.mark.django_db(transaction=True)

Frame = dict[str, Any]
TIMEOUT_SECONDS = 10.0


@pytest.fixture
def game(cast: Cast) -> Game:
    return cast.game


def user(name: str) -> User:
    return User.objects.get(username=name)


def token_of(name: str, *scopes: str) -> tuple[ApiToken, str]:
    return tokens.issue(user(name), "test", scopes or Scope.values)


def bearer(name: str, *scopes: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token_of(name, *scopes)[1]}"}


class Refused(Exception):
    """The handshake was denied."""


class Client:
    """A program at the other end of a socket of this process's application."""

    def __init__(self, path: str, headers: dict[str, str]) -> None:
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        scope = {"type": "websocket", "path": path, "query_string": b"", "headers": raw, "subprotocols": []}
        self._app: Any = ApplicationCommunicator(application, scope)  # type: ignore[no-untyped-call]
        self.cursor = 0

    async def open(self) -> None:
        await self._app.send_input({"type": "websocket.connect"})
        if (await self._app.receive_output(TIMEOUT_SECONDS))["type"] != "websocket.accept":
            raise Refused

    async def close(self) -> None:
        await self._app.send_input({"type": "websocket.disconnect", "code": 1000})
        await self._app.wait(TIMEOUT_SECONDS)

    async def send(self, type: str, **fields: Any) -> None:
        await self.send_text(json.dumps({"type": type, **fields}))

    async def send_text(self, text: str) -> None:
        await self._app.send_input({"type": "websocket.receive", "text": text})

    async def send_bytes(self, raw: bytes) -> None:
        await self._app.send_input({"type": "websocket.receive", "bytes": raw})

    async def receive(self) -> Frame:
        """The next frame; a close is one of type ``closed``."""
        message = await self._app.receive_output(TIMEOUT_SECONDS)
        if message["type"] == "websocket.close":
            return {"type": "closed", "code": message["code"]}
        frame: Frame = json.loads(message["text"])
        return frame

    async def next(self, *types: str) -> Frame:
        """The next frame of one of these types, passing over others."""
        while True:
            frame = await self.receive()
            if frame["type"] == "event":
                self.cursor = frame["seq"]
            if frame["type"] in types:
                return frame

    async def events(self, count: int) -> list[Frame]:
        return [await self.next("event") for _ in range(count)]

    async def is_silent(self) -> bool:
        """Whether nothing had been sent before the answer to a ping."""
        await self.send("ping")
        return await self.receive() == {"type": "pong"}


@asynccontextmanager
async def entered(game: Game, name: str, *scopes: str) -> AsyncIterator[Client]:
    """A socket of the user's that has been welcomed."""
    client = Client(f"/ws/games/{game.pk}/", await in_thread(bearer, name, *scopes))
    await client.open()
    assert (await client.receive())["type"] == "welcome"
    yield client
    await client.close()


def act(game: Game, name: str = "player1", text: str = "I wave.") -> Job:
    return operations.act(user=user(name), game=game, text=text)


def tell(job: Job, *texts: str) -> None:
    with ledger() as book:
        for text in texts:
            book.tell(job, "game.state_updated", {"text": text})


def tell_deciders(job: Job, data: Frame | None, private: Frame) -> None:
    with ledger() as book:
        book.tell(job, "approval.required", data, private=private)


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


def frame(type: str, **fields: Any) -> str:
    return json.dumps({"type": type, **fields})


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


async def test_a_cursor_past_the_head_is_reset_to_it_and_the_socket_goes_on_from_there(game: Game) -> None:
    job = await in_thread(act, game)
    async with entered(game, "player1") as client:
        await client.send("hello", cursor=57)
        assert await client.receive() == {"type": "reset", "head": 1}
        await in_thread(tell, job, "a")
        assert (await client.receive())["seq"] == 2
        await client.send("hello", cursor=0)
        assert (await client.receive())["code"] == "hello_twice"


async def test_where_events_are_missing_the_socket_says_so_and_goes_on_at_the_head(game: Game) -> None:
    job = await in_thread(act, game)
    await in_thread(tell, job, "a", "b")
    await in_thread(JobEvent.objects.filter(seq=2).delete)
    async with entered(game, "player1") as client:
        await client.send("hello", cursor=1)
        assert await client.receive() == {"type": "reset", "head": 3}
        await in_thread(tell, job, "c")
        assert (await client.receive())["seq"] == 4


async def test_where_nothing_is_left_after_the_cursor_the_socket_says_so_once(game: Game) -> None:
    job = await in_thread(act, game)
    await in_thread(tell, job, "a", "b")
    await in_thread(JobEvent.objects.all().delete)
    async with entered(game, "player1") as client:
        await client.send("hello", cursor=1)
        assert await client.receive() == {"type": "reset", "head": 3}
        await in_thread(tell, job, "c")
        assert (await client.receive())["seq"] == 4


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


async def test_deciders_see_drafts_and_players_never(game: Game) -> None:
    job = await in_thread(act, game)
    await in_thread(tell_deciders, job, {"version": 1}, {"draft": "secret"})
    await in_thread(tell_deciders, job, None, {"by": "dm"})
    seen = {}
    for who, scopes in (("dm", ()), ("dm", ("read", "play")), ("player1", ())):
        async with entered(game, who, *scopes) as client:
            await client.send("hello", cursor=1)
            seen[who, scopes] = await client.events(2)
    draft, undone = seen["dm", ()]
    assert (draft["data"], draft["private"], undone["private"]) == ({"version": 1}, {"draft": "secret"}, {"by": "dm"})
    for events in (seen["player1", ()], seen["dm", ("read", "play")]):
        assert events[0]["data"] == {"version": 1}
        assert "private" not in events[0]
        assert events[1] == {"type": "event", "seq": 3, "event": "hidden"}


async def test_who_lags_gets_only_the_head_and_goes_on_where_it_stopped(
    game: Game, config: Callable[..., None]
) -> None:
    config(socket_unseen_limit=3)
    job = await in_thread(act, game)
    await in_thread(tell, job, *"abcdefg")
    async with entered(game, "player1") as client:
        await client.send("hello", cursor=0)
        assert [event["seq"] for event in await client.events(3)] == [1, 2, 3]
        assert await client.receive() == {"type": "head", "seq": 8}
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
    job = await in_thread(act, game)
    await in_thread(tell, job, *"abcdefg")
    async with entered(game, "player1") as client:
        await client.send("hello", cursor=0)
        assert [event["seq"] for event in await client.events(3)] == [1, 2, 3]
        assert await client.receive() == {"type": "head", "seq": 8}
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


async def closing_code(client: Client) -> int:
    code: int = (await client.next("closed"))["code"]
    return code


async def test_strangers_and_unknown_games_look_the_same(game: Game) -> None:
    answers = []
    for path, name in ((f"/ws/games/{game.pk}/", "stranger"), (f"/ws/games/{uuid4()}/", "player1")):
        client = Client(path, await in_thread(bearer, name))
        await client.open()
        answers.append((await client.receive(), await closing_code(client)))
    assert answers[0] == answers[1]
    assert answers[0][1] == 4404


async def test_a_malformed_game_id_is_not_found(game: Game) -> None:
    for path in ("/ws/games/1/", f"/ws/games/{game.pk}", "/ws/games/"):
        client = Client(path, await in_thread(bearer, "player1"))
        await client.open()
        assert await closing_code(client) == 4404


async def test_without_a_valid_token_or_session_the_socket_is_closed(game: Game) -> None:
    own = {"host": "localhost", "origin": "http://localhost"}
    for headers in ({"authorization": "Bearer qp_nope_nope"}, own):
        client = Client(f"/ws/games/{game.pk}/", headers)
        await client.open()
        assert await closing_code(client) == 4401


def session_of(name: str) -> str:
    browser = Browser()
    browser.force_login(user(name))
    return browser.cookies[settings.SESSION_COOKIE_NAME].value


async def test_a_page_of_ours_gets_in_by_session_and_a_foreign_one_does_not(game: Game) -> None:
    cookie = f"{settings.SESSION_COOKIE_NAME}={await in_thread(session_of, 'player1')}"
    headers = {"cookie": cookie, "host": "localhost"}
    client = Client(f"/ws/games/{game.pk}/", headers | {"origin": "http://localhost"})
    await client.open()
    assert (await client.receive())["type"] == "welcome"
    await client.close()
    for foreign in ({"origin": "http://evil.example"}, {}):
        with pytest.raises(Refused):
            await Client(f"/ws/games/{game.pk}/", headers | foreign).open()


async def test_a_revoked_token_closes_the_socket(game: Game) -> None:
    token, raw = await in_thread(token_of, "player1")
    client = Client(f"/ws/games/{game.pk}/", {"authorization": f"Bearer {raw}"})
    await client.open()
    await in_thread(tokens.revoke, token)
    assert await closing_code(client) == 4401


async def test_an_ended_session_closes_the_socket(game: Game) -> None:
    key = await in_thread(session_of, "player1")
    headers = {"cookie": f"{settings.SESSION_COOKIE_NAME}={key}", "host": "localhost", "origin": "http://localhost"}
    client = Client(f"/ws/games/{game.pk}/", headers)
    await client.open()
    await in_thread(end_session, key)
    assert await closing_code(client) == 4401


def end_session(key: str) -> None:
    Session.objects.filter(pk=key).delete()


def leave(game: Game, name: str) -> None:
    Membership.objects.filter(game=game, user=user(name)).delete()


def become(game: Game, name: str, role: Role) -> None:
    Membership.objects.filter(game=game, user=user(name)).update(role=role)


async def test_a_lost_membership_closes_the_socket(game: Game) -> None:
    async with entered(game, "player1") as client:
        await in_thread(leave, game, "player1")
        assert await closing_code(client) == 4403


async def test_a_dm_who_is_one_no_longer_sees_no_more_drafts(game: Game, config: Callable[..., None]) -> None:
    config(socket_recheck_seconds=0.05)
    job = await in_thread(act, game)
    async with entered(game, "dm") as client:
        await client.send("hello", cursor=1)
        await in_thread(become, game, "dm", Role.PLAYER)

        async def is_blind() -> bool:
            await in_thread(tell_deciders, job, {}, {"draft": "secret"})
            return "private" not in await client.next("event")

        await await_until(is_blind)


async def test_a_token_does_only_what_it_is_for(game: Game) -> None:
    async with entered(game, "player1", "read") as client:
        await client.send("action", id="1", text="I wave.")
        assert (await client.receive())["code"] == "forbidden"
    client = Client(f"/ws/games/{game.pk}/", await in_thread(bearer, "player1", "play"))
    await client.open()
    assert await closing_code(client) == 4403


async def test_members_act_and_see_while_redis_is_away(game: Game, redis_server: servers.Redis) -> None:
    redis_server.stop()
    async with entered(game, "player1") as mine, entered(game, "player2") as other:
        await other.send("hello", cursor=0)
        await mine.send("action", id="1", text="I wave.")
        ack = await mine.next("ack")
        assert (await other.next("event"))["request_id"] == ack["request_id"]


async def test_an_open_socket_says_that_its_member_is_here(game: Game) -> None:
    def seen_at() -> Any:
        return Membership.objects.get(game=game, user=user("dm")).seen_at

    async def seen() -> Any:
        return await in_thread(seen_at)

    assert await seen() is None
    async with entered(game, "dm"):
        first = await await_until(seen)

        async def later() -> bool:
            return bool(await seen() > first)

        await await_until(later)


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


@pytest.mark.integration
async def test_over_a_real_server_a_client_resumes_after_it_was_killed(game: Game, stack: Stack) -> None:
    url = f"{stack.ws_url}/ws/games/{game.pk}/"
    headers = await in_thread(bearer, "player1")
    await in_thread(stack.start, "web")
    got: list[int] = []
    async with connect(url, additional_headers=headers) as socket:
        assert json.loads(await socket.recv())["type"] == "welcome"
        await socket.send(frame("action", id="1", text="I wave."))
        await socket.send(frame("hello", cursor=0))
        while not got:
            message = json.loads(await socket.recv())
            got += [message["seq"]] if message["type"] == "event" else []
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
        await socket.send(frame("hello", cursor=got[-1]))
        while len(got) < 2:
            message = json.loads(await asyncio.wait_for(socket.recv(), TIMEOUT_SECONDS))
            got += [message["seq"]] if message["type"] == "event" else []
    assert got == [1, 2]
    assert await in_thread(Job.objects.count) == 1
    assert "Traceback" not in await in_thread(stack.log, "web")


async def test_everyone_who_is_connected_is_written_down_with_one_statement(
    game: Game, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[set[int]] = []
    monkeypatch.setattr("games.attendance.present", lambda members: written.append(set(members)))
    ids = await in_thread(lambda: set(game.memberships.values_list("pk", flat=True)))
    with ExitStack() as here:
        for membership in ids:
            here.enter_context(attendance().of(membership))

        async def twice() -> bool:
            return len(written) >= 2

        await await_until(twice)
    assert written[:2] == [ids, ids]
