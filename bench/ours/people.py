"""Players and games for the workloads."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib.auth.models import User

from accounts import tokens
from accounts.models import Scope
from bench.submitting import Client
from games.models import Decisions, Game, Membership, Role

OPENING = "Rain drums on the roof. Something below has been knocking since dusk."


def games(count: int) -> list[Game]:
    """Games that ask nobody to decide, so that their actions go on without people."""
    return [
        Game.objects.create(name=f"game {number}", opening=OPENING, decisions=Decisions.NEVER)
        for number in range(count)
    ]


def member(name: str, playing: Iterable[Game], role: Role = Role.PLAYER) -> Client:
    """A new user with a token, who is in these games and acts in them in turn."""
    user, playing = User.objects.create(username=name), list(playing)
    for game in playing:
        Membership.objects.create(game=game, user=user, role=role)
    _, raw = tokens.issue(user, "bench", [Scope.READ, Scope.PLAY])
    return Client(raw, [f"/v1/games/{game.pk}/actions" for game in playing])
