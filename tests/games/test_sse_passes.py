"""A pass opens one stream once, for programs that can't send a token along."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client as Browser

from accounts import tokens
from accounts.models import StreamPass
from accounts.threads import in_thread
from games.models import Game
from tests.cast import Cast
from tests.games.streams import begun, of_game
from tests.games.watching import act, bearer, tell_deciders, token_of
from tests.sse import streaming

pytestmark = pytest.mark.django_db(transaction=True)


def ask_for_pass(headers: dict[str, str], stream: object) -> tuple[int, Any]:
    answer = Browser().post("/v1/passes", {"stream": stream}, content_type="application/json", headers=headers)
    return answer.status_code, answer.json()


def take_pass(headers: dict[str, str], stream: str) -> str:
    status, given = ask_for_pass(headers, stream)
    assert status == 200, given
    assert given["expires_in"] == 30
    raw: str = given["pass"]
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
    _, given = await in_thread(ask_for_pass, headers, of_game(game))
    async with streaming(of_game(game), {}, query=f"pass={given['pass']}") as stream:
        assert stream.status == 401
    await in_thread(ask_for_pass, headers, of_game(game))
    assert await in_thread(StreamPass.objects.count) == 1


@pytest.mark.parametrize("stream", ["", "/v1/games", "/v1/events/games/x", 7, "https://elsewhere.example/"])
def test_a_pass_is_for_a_stream(cast: Cast, stream: object) -> None:
    status, said = ask_for_pass(cast.bearer(cast.player1), stream)
    assert (status, said["code"]) == (422, "invalid")
