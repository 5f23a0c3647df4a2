"""A fixed cast for tests of rights: two players, two DMs, a stranger and a superuser, in two games."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.contrib.auth.models import User

from accounts import tokens
from accounts.models import Scope
from games.models import Game, Membership, Role

STATE = {"party": {"gold": 12, "inventory": ["rope"]}, "doors": {"cellar": "closed"}, "clock": 3}


@dataclass(frozen=True, kw_only=True)
class Cast:
    """``player1`` and ``player2`` play in both games, ``dm`` is DM in both, ``dm2`` in ``game`` only.

    ``stranger`` is in none, and ``admin`` neither, for all the superuser's rights.
    """

    player1: User
    player2: User
    dm: User
    dm2: User
    stranger: User
    admin: User
    game: Game
    other: Game

    def bearer(self, user: User, scopes: Iterable[str] = Scope.values) -> dict[str, str]:
        """The headers of a program that acts for this user."""
        return {"Authorization": f"Bearer {tokens.issue(user, 'test', scopes)[1]}"}


def assemble() -> Cast:
    """The cast in an empty database."""
    users = {name: User.objects.create_user(name) for name in ("player1", "player2", "dm", "dm2", "stranger")}
    admin = User.objects.create_superuser("admin")
    game = Game.objects.create(name="The Cellar", opening="A tavern, and a cellar below it.", state=STATE)
    other = Game.objects.create(name="The Tower", opening="A tower, and nobody in it.", state=STATE)
    for place in (game, other):
        for name in ("player1", "player2"):
            Membership.objects.create(game=place, user=users[name])
        Membership.objects.create(game=place, user=users["dm"], role=Role.DM)
    Membership.objects.create(game=game, user=users["dm2"], role=Role.DM)
    return Cast(**users, admin=admin, game=game, other=other)
