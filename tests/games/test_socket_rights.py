"""Who may open a game's socket, what they may see and do there, and what closes it."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

import pytest
from django.contrib.sessions.models import Session

from accounts import tokens
from accounts.threads import in_thread
from games.models import Game, Membership, Role
from tests.games.sockets import Client, Refused, entered, turned_away
from tests.games.watching import act, bearer, cookie_of, signed_in, tell_deciders, token_of, user
from tests.waiting import await_until

pytestmark = pytest.mark.django_db(transaction=True)


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


async def test_strangers_and_unknown_games_look_the_same(game: Game) -> None:
    answers = []
    for path, name in ((f"/ws/games/{game.pk}/", "stranger"), (f"/ws/games/{uuid4()}/", "player1")):
        client = Client(path, await in_thread(bearer, name))
        await client.open()
        answers.append((await client.receive(), await client.closing_code()))
    assert answers[0] == answers[1]
    assert answers[0][1] == 4404


async def test_a_malformed_game_id_is_not_found(game: Game) -> None:
    for path in ("/ws/games/1/", f"/ws/games/{game.pk}", "/ws/games/"):
        assert await turned_away(path, await in_thread(bearer, "player1")) == 4404


async def test_without_a_valid_token_or_session_the_socket_is_closed(game: Game) -> None:
    own = {"host": "localhost", "origin": "http://localhost"}
    for headers in ({"authorization": "Bearer qp_nope_nope"}, own):
        assert await turned_away(f"/ws/games/{game.pk}/", headers) == 4401


async def test_a_page_of_ours_gets_in_by_session_and_a_foreign_one_does_not(game: Game) -> None:
    headers = cookie_of(await in_thread(signed_in, "player1")) | {"host": "localhost"}
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
    assert await client.closing_code() == 4401


async def test_an_ended_session_closes_the_socket(game: Game) -> None:
    own = {"host": "localhost", "origin": "http://localhost"}
    client = Client(f"/ws/games/{game.pk}/", cookie_of(await in_thread(signed_in, "player1")) | own)
    await client.open()
    await in_thread(Session.objects.all().delete)
    assert await client.closing_code() == 4401


def leave(game: Game, name: str) -> None:
    Membership.objects.filter(game=game, user=user(name)).delete()


def become(game: Game, name: str, role: Role) -> None:
    Membership.objects.filter(game=game, user=user(name)).update(role=role)


async def test_a_lost_membership_closes_the_socket(game: Game) -> None:
    async with entered(game, "player1") as client:
        await in_thread(leave, game, "player1")
        assert await client.closing_code() == 4403


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
    assert await turned_away(f"/ws/games/{game.pk}/", await in_thread(bearer, "player1", "play")) == 4403
