"""Beginning chapters where something has happened that none tells yet."""

from __future__ import annotations

from uuid import UUID

from django.db.models import F, Max, OuterRef, Subquery
from django.db.models.functions import Coalesce
from pydantic import BaseModel

from games.jobtypes import CHRONICLE
from games.models import Chapter, Game, Role
from jobs.errors import Refused
from jobs.operations.workflows import start
from jobs.workflows import Automation

BATCH = 100


class Batch(BaseModel):
    """How many chapters were begun, and the game after which to go on, if there are more."""

    begun: int
    next: UUID | None


def start_chapters(after: UUID, automation: Automation | None) -> Batch:
    """Begin a chapter in each of the next games that has untold turns, with the rights of its first DM.

    A game whose last chapter is still being made is left alone, and one that is refused for the next night.
    """
    told = Chapter.objects.filter(game=OuterRef("pk")).order_by().values("game").annotate(n=Max("last_turn"))
    untold = Game.objects.annotate(told=Coalesce(Subquery(told.values("n")), 0)).filter(turn__gt=F("told"))
    games = list(untold.filter(pk__gt=after).order_by("pk")[:BATCH])
    begun = sum(_start(game, automation) for game in games)
    return Batch(begun=begun, next=games[-1].pk if len(games) == BATCH else None)


def _start(game: Game, automation: Automation | None) -> bool:
    masters = game.memberships.filter(role=Role.DM, user__is_active=True).select_related("user")
    first = masters.order_by("pk").first()
    if first is None:
        return False
    try:
        start(
            CHRONICLE.name,
            {},
            user=first.user,
            scope=game.scope_key,
            automation=automation,
            unique=f"chronicle:{game.pk}",
        )
    except Refused:
        return False
    return True
