"""Who may read event streams, how many of them, what they see there, and for how long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import tokens
from accounts.sockets import Caller, identify
from accounts.threads import in_thread
from games.models import Game, Membership, Role
from jobs.streams.answering import _open
from jobs.streams.audience import Place, judge
from tests.cast import Cast
from tests.games.sockets import entered
from tests.games.streams import begun, of_game, of_request
from tests.games.watching import act, bearer, cookie_of, signed_in, tell_deciders, token_of, user
from tests.sse import streaming
from tests.waiting import await_until

pytestmark = pytest.mark.django_db(transaction=True)


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
        lines = signed_in("admin").get("/metrics").content.decode().splitlines()
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


async def test_a_pages_session_opens_a_stream(game: Game) -> None:
    browser = await in_thread(signed_in, "player1")
    async with streaming(of_game(game), cookie_of(browser)) as stream:
        await begun(stream)
        await in_thread(browser.logout)
        assert (await stream.event()).data["code"] == "unauthorized"


async def test_who_may_still_watch_is_asked_for_all_at_once(cast: Cast) -> None:
    """One statement for all tokens and one for each game, however many watch."""
    players = [await in_thread(bearer, name) for name in ("player1", "player2", "dm") for _ in range(3)]
    callers = [await in_thread(identify, each) for each in players]
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
    def identified(name: str) -> tuple[Browser, Caller]:
        browser = signed_in(name)
        caller = identify(cookie_of(browser))
        assert caller is not None
        return browser, caller

    def judged(places: list[Place]) -> tuple[int, list[Any]]:
        with CaptureQueriesContext(connection) as captured:
            verdicts = judge(places)
        return len(captured), [verdicts[place] for place in places]

    names = ("player1", "player2", "dm", "player1", "stranger", "admin")
    browsers, callers = zip(*[await in_thread(identified, name) for name in names], strict=True)
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
