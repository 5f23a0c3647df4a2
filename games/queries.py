"""Questions about games: which one, who may see it, what has been told."""

from __future__ import annotations

import base64
from functools import cache
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db.models import Q, QuerySet

from games.models import Game, Membership, Turn
from games.operations import NO_GAME
from jobs import statements
from jobs.errors import Invalid, NotFound
from jobs.instances import instances, returned

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser, AnonymousUser

    Viewer = AbstractBaseUser | AnonymousUser


def get_game(user: Viewer, game_id: UUID) -> Game:
    """The game with its ``cursor``; ``NotFound`` also for one this user may not see.

    Read it before what else a page shows: events after the cursor may then tell of what is already there, but
    none that is missing lies before it.
    """
    game = Game.objects.visible_to(user).with_cursor().filter(pk=game_id).first()
    if game is None:
        raise NotFound(NO_GAME)
    return game


def get_seat(user: Viewer, game_id: UUID) -> Game:
    """The game to act in, which knows the user's role from the same statement; ``NotFound`` like ``get_game``.

    In SQL, because every message passes here: to put the join together by the ORM takes longer than all of ``enqueue``.
    """
    found = statements.ask(_seat(), user=user.pk, game=game_id.hex) if user.is_active else []
    if not found:
        raise NotFound(NO_GAME)
    (game,) = instances(Game, _GAME, found)
    (game.seat,) = instances(Membership, _MEMBERSHIP, (row[len(_GAME) :] for row in found))
    return game


_GAME, _MEMBERSHIP = (tuple(str(field.column) for field in of._meta.concrete_fields) for of in (Game, Membership))


@cache
def _seat() -> str:
    return f"""
        SELECT {returned(Game, _GAME)}, {returned(Membership, _MEMBERSHIP)}
        FROM games_membership JOIN games_game ON games_game.id = games_membership.game_id
        WHERE games_membership.user_id = %(user)s AND games_membership.game_id = %(game)s"""


def memberships(user: Viewer) -> QuerySet[Membership, Any]:
    """The user's part in each of their games, with the game, by its name."""
    return Membership.objects.of(user).select_related("game").order_by("game__name", "game")


def memberships_after(user: Viewer, cursor: str, *, limit: int) -> tuple[list[Membership], str | None]:
    """The next games by name, and the cursor to go on after if there are more. ``Invalid`` for one that is none."""
    mine = memberships(user)
    if cursor:
        name, last = _parse(cursor)
        mine = mine.filter(Q(game__name__gt=name) | Q(game__name=name, game__gt=last))
    found = list(mine[: limit + 1])
    page = found[:limit]
    return page, _cursor(page[-1].game) if len(found) > limit else None


def _cursor(game: Game) -> str:
    return base64.urlsafe_b64encode(f"{game.pk} {game.name}".encode()).decode()


def _parse(cursor: str) -> tuple[str, UUID]:
    try:
        last, _, name = base64.b64decode(cursor, b"-_", validate=True).decode().partition(" ")
        if "\0" in name:
            raise ValueError("PostgreSQL knows no such text")
        return name, UUID(last)
    except ValueError:
        wrong = {"cursor": "is not one that an earlier page gave"}
        raise Invalid("start again without a cursor", fields=wrong) from None


def turns_after(game: Game, number: int, *, limit: int) -> tuple[list[Turn], int | None]:
    """The next turns in order, and the number to go on after if there are more."""
    found = list(game.turns.filter(number__gt=number).select_related("actor").order_by("number")[: limit + 1])
    page = found[:limit]
    return page, page[-1].number if len(found) > limit else None
