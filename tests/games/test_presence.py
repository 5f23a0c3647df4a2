"""Who counts as being there, and that it is written down."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import pytest

from accounts.threads import in_thread
from approvals.signals import decider_present
from games.attendance import attendance
from games.models import Game, Membership
from jobs import registry
from tests.cast import Cast
from tests.games.sockets import entered
from tests.games.watching import user
from tests.waiting import await_until

pytestmark = pytest.mark.django_db


def test_an_open_decision_queue_is_presence_in_every_game_one_directs(cast: Cast) -> None:
    rules = registry.scope_rules(cast.game.scope_key)
    assert not rules.decider_online(cast.game.scope_key)
    decider_present.send(sender=None, user=cast.dm)
    assert rules.decider_online(cast.game.scope_key)
    assert rules.decider_online(cast.other.scope_key)


def test_a_players_presence_is_not_a_dms(cast: Cast) -> None:
    decider_present.send(sender=None, user=cast.player1)
    assert not Membership.objects.filter(seen_at__isnull=False).exists()


@pytest.mark.django_db(transaction=True)
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


@pytest.mark.django_db(transaction=True)
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
