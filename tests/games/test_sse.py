"""Event streams: who may read them, what they replay and follow, and how they end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import OperationalError, connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import tokens
from accounts.models import ApiToken, Scope, StreamPass
from accounts.sockets import Caller, identify
from accounts.threads import in_thread
from games import operations
from games.models import Game, Membership, Role
from jobs.ephemeral import Ephemeral
from jobs.events.ledger import ledger
from jobs.models import Job, JobEvent
from jobs.operations import controls
from jobs.streams import Row, Stream
from jobs.streams.answering import _open
from jobs.streams.audience import Place, judge
from jobs.streams.rows import read_rows
from jobs.transport import transport
from tests.cast import Cast
from tests.games.test_socket import entered
from tests.sse import Streaming, streaming
from tests.waiting import await_until

pytestmark = pytest.mark.django_db(transaction=True)

NEVER_SECONDS = 3600.0
START = "last_event_id=0"


@pytest.fixture
def game(cast: Cast) -> Game:
    return cast.game


def user(name: str) -> User:
    return User.objects.get(username=name)


def token_of(name: str, *scopes: str) -> tuple[ApiToken, str]:
    return tokens.issue(user(name), "test", scopes or Scope.values)


def bearer(name: str, *scopes: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token_of(name, *scopes)[1]}"}


def of_game(game: Game) -> str:
    return f"/v1/events/games/{game.pk}"


def of_request(job: Job) -> str:
    return f"/v1/events/requests/{job.public_id}"


def act(game: Game, name: str = "player1", text: str = "I wave.") -> Job:
    return operations.act(user=user(name), game=game, text=text)


def tell(job: Job, *texts: str) -> None:
    with ledger() as book:
        for text in texts:
            book.tell(job, "game.state_updated", {"text": text})


def tell_deciders(job: Job, data: dict[str, Any] | None, private: dict[str, Any]) -> None:
    with ledger() as book:
        book.tell(job, "approval.required", data, private=private)


async def begun(stream: Streaming) -> Streaming:
    assert (stream.status, stream.headers["content-type"]) == (200, "text/event-stream")
    assert (await stream.block()).retry == 1000
    return stream


async def test_a_stream_replays_what_follows_the_cursor_and_goes_on(game: Game) -> None:
    job = await in_thread(act, game)
    await in_thread(tell, job, "a", "b")
    async with streaming(of_game(game), await in_thread(bearer, "player2"), query="last_event_id=1") as stream:
        await begun(stream)
        first, second = await stream.events(2)
        assert (first.id, first.event, first.data["data"]) == (2, "game.state_updated", {"text": "a"})
        assert second.id == 3
        assert first.data.keys() == {"request_id", "kind", "status", "at", "data"}
        assert first.data["request_id"] == str(job.public_id)
        await in_thread(tell, job, "c")
        assert (await stream.event()).data["data"] == {"text": "c"}
    assert stream.headers["cache-control"] == "no-store"
    assert stream.headers["x-accel-buffering"] == "no"


async def test_without_a_cursor_it_begins_now_and_says_where_that_is(game: Game) -> None:
    job = await in_thread(act, game)
    async with streaming(of_game(game), await in_thread(bearer, "player2")) as stream:
        await begun(stream)
        assert (await stream.block()).id == 1
        await in_thread(tell, job, "later")
        assert (await stream.event()).id == 2


async def test_the_header_of_a_browser_that_reconnects_wins_over_the_address(game: Game) -> None:
    job = await in_thread(act, game)
    await in_thread(tell, job, "a", "b", "c")
    headers = {**await in_thread(bearer, "player2"), "Last-Event-ID": "3"}
    async with streaming(of_game(game), headers, query="last_event_id=0") as stream:
        assert (await stream.event()).id == 4


async def test_what_a_viewer_may_not_see_is_an_id_alone(game: Game) -> None:
    job = await in_thread(act, game)
    await in_thread(tell_deciders, job, None, {"draft": "secret"})
    await in_thread(tell_deciders, job, {"version": 1}, {"draft": "secret"})
    async with streaming(of_game(game), await in_thread(bearer, "player2"), query="last_event_id=1") as stream:
        await begun(stream)
        hidden, seen = await stream.block(), await stream.block()
        assert (hidden.id, hidden.event, hidden.data) == (2, "", {})
        assert (seen.id, seen.data["data"], "private" in seen.data) == (3, {"version": 1}, False)
    async with streaming(of_game(game), await in_thread(bearer, "dm"), query="last_event_id=1") as stream:
        assert [event.data["private"] for event in await stream.events(2)] == [{"draft": "secret"}] * 2
    async with streaming(of_game(game), await in_thread(bearer, "dm", "read"), query="last_event_id=2") as stream:
        assert "private" not in (await stream.event()).data


async def test_passing_events_have_no_id_and_drafts_are_for_those_who_decide(game: Game) -> None:
    job = await in_thread(act, game)
    assert job.scope_id is not None

    def chunk(content: str, *, deciders_only: bool) -> None:
        assert job.scope_id is not None
        data = {"attempt": 1, "index": 0, "content": content, "done": False}
        told = Ephemeral(
            event="chat.chunk",
            request_id=str(job.public_id),
            kind="chat",
            data=data,
            deciders_only=deciders_only,
        )
        transport().say([(job.scope_id, told)])

    player, dm = await in_thread(bearer, "player2"), await in_thread(bearer, "dm")
    async with streaming(of_game(game), player) as players, streaming(of_request(job), dm) as dms:
        for stream in (players, dms):
            await begun(stream)

        async def heard() -> bool:
            await in_thread(lambda: chunk("draft", deciders_only=True))
            await in_thread(lambda: chunk("told", deciders_only=False))
            try:
                return bool((await players.block(0.2)).event)
            except TimeoutError:
                return False

        await await_until(heard)
        event = await dms.event("chat.chunk")
        assert (event.id, event.data["request_id"], event.data["data"]["content"]) == (
            None,
            str(job.public_id),
            "draft",
        )
        await in_thread(tell, job, "end")
        while (event := await players.event()).event == "chat.chunk":
            assert event.data["data"]["content"] == "told"


async def test_a_request_has_a_stream_of_its_own_that_ends_with_it(game: Game) -> None:
    other = await in_thread(act, game)
    job = await in_thread(act, game)
    async with streaming(of_request(job), await in_thread(bearer, "player2")) as stream:
        await begun(stream)
        assert (await stream.event()).event == "request.queued"
        await in_thread(tell, other, "of another")
        await in_thread(tell, job, "of this")
        await in_thread(lambda: controls.cancel(job_id=job.pk))
        rest = [(event.event, event.data["request_id"]) for event in await stream.rest()]
        assert rest == [("game.state_updated", str(job.public_id)), ("request.cancelled", str(job.public_id))]
    async with streaming(of_request(job), await in_thread(bearer, "player2")) as again:
        events = [event for event in await again.rest() if event.event]
        assert [event.event for event in events] == ["request.queued", "game.state_updated", "request.cancelled"]
        last = events[-1].id
    headers = {**await in_thread(bearer, "player2"), "Last-Event-ID": str(last)}
    async with streaming(of_request(job), headers) as nothing:
        assert nothing.status == 204


async def test_a_request_that_runs_again_is_told_from_its_current_run_to_the_end_of_that(game: Game) -> None:
    job = await in_thread(act, game)
    await in_thread(lambda: controls.cancel(job_id=job.pk))
    await in_thread(lambda: controls.revive(job.pk))
    headers = await in_thread(bearer, "player2")
    async with streaming(of_request(job), headers) as stream, streaming(of_request(job), headers, query=START) as all_:
        await begun(stream)
        assert (await stream.event()).event == "request.queued"
        former = [(await all_.event()).event for _ in range(3)]
        assert former == ["request.queued", "request.cancelled", "request.queued"]
        await in_thread(lambda: controls.cancel(job_id=job.pk))
        for each in (stream, all_):
            assert [event.event for event in await each.rest()] == ["request.cancelled"]


async def test_a_cursor_that_is_too_old_or_too_new_is_reset_to_the_head(game: Game) -> None:
    job = await in_thread(act, game)
    await in_thread(tell, job, "a", "b", "c")
    await in_thread(lambda: JobEvent.objects.filter(seq__lte=2).delete())
    for cursor in ("0", "1", "77"):
        headers = {**await in_thread(bearer, "player2"), "Last-Event-ID": cursor}
        async with streaming(of_game(game), headers) as stream:
            reset = await stream.event()
            assert (reset.event, reset.id, reset.data) == ("reset", 4, {"head": 4})
            await in_thread(tell, job, "after")
            assert (await stream.event()).data["data"] == {"text": "after"}
            await in_thread(lambda: JobEvent.objects.filter(seq__gt=4).delete())
            await in_thread(lambda: game_head(game, 4))
    async with streaming(of_game(game), await in_thread(bearer, "player2"), query="last_event_id=2") as stream:
        assert (await stream.event()).id == 3


@pytest.mark.parametrize("cursor", ["0", "1"])
async def test_where_nothing_is_left_after_the_cursor_it_is_reset_and_not_asked_for_again(
    game: Game, cursor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def counted(scope: int, after: int, limit: int) -> list[Row]:
        asked.append(after)
        return read_rows(scope, after, limit)

    job = await in_thread(act, game)
    await in_thread(tell, job, "a", "b")
    await in_thread(JobEvent.objects.all().delete)
    monkeypatch.setattr("jobs.streams.stream.read_rows", counted)
    async with streaming(of_game(game), await in_thread(bearer, "player2"), query=f"last_event_id={cursor}") as stream:
        reset = await stream.event()
        assert (reset.event, reset.id, reset.data) == ("reset", 3, {"head": 3})
        assert asked == [int(cursor)]
        await in_thread(tell, job, "after")
        assert (await stream.event()).data["data"] == {"text": "after"}


async def test_a_database_lost_while_a_cursor_is_looked_for_is_told_in_one_answer(
    game: Game, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(stream: Stream) -> None:
        raise OperationalError("gone")

    monkeypatch.setattr(Stream, "refresh", away)
    async with streaming(of_game(game), await in_thread(bearer, "player2"), query="last_event_id=77") as stream:
        await begun(stream)
        assert (await stream.event()).event == "unavailable"
        assert await stream.rest() == []


def game_head(game: Game, head: int) -> None:
    from jobs.models import Scope as Numbers

    Numbers.objects.filter(key=game.scope_key).update(head=head)


async def test_silence_is_broken_by_comments(game: Game, config: Callable[..., None]) -> None:
    config(stream_keep_alive_seconds=0.1)
    async with streaming(of_game(game), await in_thread(bearer, "player2")) as stream:
        await begun(stream)
        await stream.block()
        assert [(await stream.block()).comment for _ in range(3)] == ["keep-alive"] * 3


async def test_a_stream_ends_after_its_time_and_after_its_bytes(game: Game, config: Callable[..., None]) -> None:
    job = await in_thread(act, game)
    player = await in_thread(bearer, "player2")
    config(stream_seconds=0.2)
    async with streaming(of_game(game), player) as stream:
        await stream.rest()
        assert stream.ended
    config(stream_seconds=NEVER_SECONDS, stream_bytes=1000)
    await in_thread(tell, job, *("x" * 100 for _ in range(50)))
    seen: list[int] = []
    for _ in range(50):
        async with streaming(of_game(game), player, query=f"last_event_id={seen[-1] if seen else 1}") as stream:
            while len(seen) < 50:
                try:
                    event = await stream.event()
                except EOFError:
                    break
                assert event.id is not None
                seen.append(event.id)
        if len(seen) == 50:
            break
    assert seen == list(range(2, 52))


async def test_who_leaves_the_game_is_shown_out(game: Game) -> None:
    headers = await in_thread(bearer, "player2")
    async with streaming(of_game(game), headers) as stream:
        await begun(stream)
        await in_thread(lambda: Membership.objects.filter(user=user("player2")).delete())
        async with asyncio.timeout(5):
            assert (await stream.event()).data["code"] == "forbidden"
            await stream.rest()
    async with streaming(of_game(game), headers) as stream:
        assert stream.status == 404


async def test_who_is_a_dm_no_longer_sees_no_more_drafts(game: Game) -> None:
    job = await in_thread(act, game)
    async with streaming(of_game(game), await in_thread(bearer, "dm"), query="last_event_id=1") as stream:
        await in_thread(tell_deciders, job, {}, {"draft": "seen"})
        assert "private" in (await stream.event()).data
        await in_thread(lambda: Membership.objects.filter(user=user("dm")).update(role=Role.PLAYER))

        async def hidden() -> bool:
            await in_thread(tell_deciders, job, {}, {"draft": "unseen"})
            return "private" not in (await stream.event()).data

        await await_until(hidden, timeout=5)


async def test_a_revoked_token_ends_its_streams(game: Game) -> None:
    token, raw = await in_thread(token_of, "player2")
    async with streaming(of_game(game), {"Authorization": f"Bearer {raw}"}) as stream:
        await begun(stream)
        await in_thread(lambda: tokens.revoke(token))
        assert (await stream.event()).data["code"] == "unauthorized"
        await stream.rest()


@pytest.mark.parametrize(
    ("headers", "method", "query", "status", "code"),
    [
        ({}, "GET", "", 401, "unauthorized"),
        ({"Authorization": "Bearer qp_nothing"}, "GET", "", 401, "unauthorized"),
        ({}, "GET", "pass=qpp_nothing", 401, "unauthorized"),
        ({}, "HEAD", "", 405, "method_not_allowed"),
        ({}, "POST", "", 405, "method_not_allowed"),
        ({"Accept": "application/json"}, "GET", "", 406, "not_acceptable"),
        ({"Last-Event-ID": "-1"}, "GET", "", 422, "invalid"),
        ({"Last-Event-ID": "9" * 19}, "GET", "", 422, "invalid"),
        ({}, "GET", "last_event_id=%D9%A3", 422, "invalid"),
        ({"Host": "elsewhere.example"}, "GET", "", 400, "bad_request"),
    ],
)
async def test_a_wrong_request_is_refused_as_json(
    game: Game, headers: dict[str, str], method: str, query: str, status: int, code: str
) -> None:
    async with streaming(of_game(game), headers, method=method, query=query) as answer:
        body = await answer.json()
    assert (answer.status, body["code"], bool(body["detail"])) == (status, code, True)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers.get("allow") == ("GET" if status == 405 else None)


async def test_strangers_find_nothing_and_tokens_need_read(game: Game) -> None:
    job = await in_thread(act, game)
    for path in (of_game(game), of_request(job)):
        for name, scopes, status in (("stranger", (), 404), ("admin", (), 404), ("player1", ("play",), 403)):
            async with streaming(path, await in_thread(bearer, name, *scopes)) as answer:
                assert answer.status == status
                assert (await answer.json())["code"] == ("not_found" if status == 404 else "forbidden")


async def test_a_user_has_so_many_streams_and_no_more(game: Game, config: Callable[..., None]) -> None:
    config(stream_limit=2)
    player, other = await in_thread(bearer, "player1"), await in_thread(bearer, "player2")
    async with streaming(of_game(game), player), streaming(of_game(game), player):
        async with streaming(of_game(game), player) as third:
            assert (third.status, third.headers["retry-after"]) == (429, "1")
            assert (await third.json())["code"] == "too_many_streams"
        async with streaming(of_game(game), other) as theirs:
            assert theirs.status == 200
    async with streaming(of_game(game), player) as after:
        assert after.status == 200
    assert not _open


async def test_open_streams_and_sockets_are_in_the_metrics(cast: Cast) -> None:
    def connected() -> set[str]:
        browser = Browser()
        browser.force_login(cast.admin)
        lines = browser.get("/metrics").content.decode().splitlines()
        return {line for line in lines if line.startswith("queueproject_web_connections{")}

    def so_many(streams: int, sockets: int) -> set[str]:
        counts = {"stream": streams, "socket": sockets}
        return {f'queueproject_web_connections{{kind="{kind}"}} {count}.0' for kind, count in counts.items()}

    player = await in_thread(bearer, "player1")
    async with streaming(of_game(cast.game), player), streaming(of_game(cast.game), player) as second:
        await begun(second)
        async with entered(cast.game, "player1"):
            assert await in_thread(connected) == so_many(2, 1)
    assert await in_thread(connected) == so_many(0, 0)


async def test_a_database_that_is_away_is_told_as_an_event_since_browsers_never_return_from_an_error(
    game: Game, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(headers: object) -> None:
        raise OperationalError("gone")

    monkeypatch.setattr("jobs.streams.answering.identify", away)
    async with streaming(of_game(game), {}) as stream:
        await begun(stream)
        assert (await stream.event()).event == "unavailable"
        assert await stream.rest() == []


async def test_a_pages_session_opens_a_stream(game: Game) -> None:
    browser = Browser()
    await in_thread(lambda: browser.force_login(user("player1")))
    cookie = {"Cookie": f"sessionid={browser.cookies['sessionid'].value}"}
    async with streaming(of_game(game), cookie) as stream:
        await begun(stream)
        await in_thread(browser.logout)
        assert (await stream.event()).data["code"] == "unauthorized"


def take_pass(headers: dict[str, str], stream: str) -> str:
    answer = Browser().post("/v1/passes", {"stream": stream}, content_type="application/json", headers=headers)
    assert answer.status_code == 200, answer.content
    assert answer.json()["expires_in"] == 30
    raw: str = answer.json()["pass"]
    return raw


async def test_a_pass_opens_its_stream_once(game: Game, cast: Cast) -> None:
    bearing = await in_thread(bearer, "player1")
    raw = await in_thread(take_pass, bearing, of_game(game))
    assert raw not in str(await in_thread(lambda: list(StreamPass.objects.values())))
    async with streaming(of_game(cast.other), {}, query=f"pass={raw}") as elsewhere:
        assert elsewhere.status == 401
    async with streaming(of_game(game), {}, query=f"pass={raw}&last_event_id=0") as stream:
        await begun(stream)
        assert stream.headers["access-control-allow-origin"] == "*"
    async with streaming(of_game(game), {}, query=f"pass={raw}") as again:
        assert again.status == 401
    async with streaming(of_game(game), bearing) as own:
        assert "access-control-allow-origin" not in own.headers


async def test_of_many_who_use_a_pass_at_once_one_gets_in(game: Game) -> None:
    raw = await in_thread(take_pass, await in_thread(bearer, "player1"), of_game(game))

    async def status() -> int:
        async with streaming(of_game(game), {}, query=f"pass={raw}") as stream:
            return stream.status

    assert sorted(await asyncio.gather(*(status() for _ in range(8)))) == [200, *[401] * 7]


async def test_a_pass_is_worth_no_more_than_the_token_it_was_asked_with(game: Game) -> None:
    token, raw = await in_thread(token_of, "dm", "read")
    headers = {"Authorization": f"Bearer {raw}"}
    job = await in_thread(act, game)
    await in_thread(tell_deciders, job, {}, {"draft": "secret"})
    first = await in_thread(take_pass, headers, of_game(game))
    second = await in_thread(take_pass, headers, of_game(game))
    async with streaming(of_game(game), {}, query=f"pass={first}&last_event_id=1") as stream:
        assert "private" not in (await stream.event()).data
        await in_thread(lambda: tokens.revoke(token))
        assert (await stream.event()).data["code"] == "unauthorized"
    async with streaming(of_game(game), {}, query=f"pass={second}") as late:
        assert late.status == 401


async def test_a_pass_is_good_for_a_short_time_and_then_removed(game: Game, config: Callable[..., None]) -> None:
    config(pass_seconds=0.001)
    headers = await in_thread(bearer, "player1")
    raw = await in_thread(take_pass_of_any_time, headers, of_game(game))
    async with streaming(of_game(game), {}, query=f"pass={raw}") as stream:
        assert stream.status == 401
    await in_thread(take_pass_of_any_time, headers, of_game(game))
    assert await in_thread(StreamPass.objects.count) == 1


def take_pass_of_any_time(headers: dict[str, str], stream: str) -> str:
    answer = Browser().post("/v1/passes", {"stream": stream}, content_type="application/json", headers=headers)
    raw: str = answer.json()["pass"]
    return raw


@pytest.mark.parametrize("stream", ["", "/v1/games", "/v1/events/games/x", 7, "https://elsewhere.example/"])
def test_a_pass_is_for_a_stream(cast: Cast, stream: object) -> None:
    answer = Browser().post(
        "/v1/passes", {"stream": stream}, content_type="application/json", headers=cast.bearer(cast.player1)
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")


async def test_who_may_still_watch_is_asked_for_all_at_once(cast: Cast) -> None:
    """One statement for all tokens and one for each game, however many watch."""
    players = [await in_thread(bearer, name) for name in ("player1", "player2", "dm") for _ in range(3)]
    callers = [await in_thread(identify, {"authorization": each["Authorization"]}) for each in players]
    games = (cast.game, cast.other)
    places = [Place(caller, game.scope_key, decides=False) for caller in callers if caller for game in games]

    def judged() -> tuple[int, dict[Place, Any]]:
        with CaptureQueriesContext(connection) as captured:
            verdicts = judge(places)
        return len(captured), verdicts

    statements, verdicts = await in_thread(judged)
    assert statements == 3
    assert [verdicts[place] for place in places] == [place.caller.user.username == "dm" for place in places]


async def test_sessions_too_are_asked_for_all_at_once(cast: Cast) -> None:
    def signed_in(name: str) -> tuple[Browser, Caller]:
        browser = Browser()
        browser.force_login(user(name))
        cookie = f"{settings.SESSION_COOKIE_NAME}={browser.cookies[settings.SESSION_COOKIE_NAME].value}"
        caller = identify({"cookie": cookie})
        assert caller is not None
        return browser, caller

    def judged(places: list[Place]) -> tuple[int, list[Any]]:
        with CaptureQueriesContext(connection) as captured:
            verdicts = judge(places)
        return len(captured), [verdicts[place] for place in places]

    names = ("player1", "player2", "dm", "player1", "stranger", "admin")
    browsers, callers = zip(*[await in_thread(signed_in, name) for name in names], strict=True)
    places = [Place(caller, cast.game.scope_key, decides=False) for caller in callers]
    assert await in_thread(judged, places) == (3, [False, False, True, False, "forbidden", "forbidden"])
    await in_thread(browsers[0].logout)
    await in_thread(lambda: User.objects.filter(username="player2").update(is_active=False))
    await in_thread(lambda: change_password("dm"))
    lost = ["unauthorized"] * 3
    assert await in_thread(judged, places) == (3, [*lost, False, "forbidden", "forbidden"])
    await in_thread(lambda: Session.objects.update(expire_date=timezone.now()))
    assert set((await in_thread(judged, places))[1]) == {"unauthorized"}


def change_password(name: str) -> None:
    found = user(name)
    found.set_password("another, longer than the last")
    found.save()
