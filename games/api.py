"""Games over HTTP: whose they are, what has happened, and acting in them."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Field, Header, P, QueryEx, Router, Schema

from accounts.authentication import CAN_PLAY, CAN_READ
from games import api_chat, api_staff, queries
from games.models import Game, Turn
from games.operations import act
from jobs.queries import position

router = Router(tags=["games"])
router.add_router("", api_chat.router)
router.add_router("", api_staff.router)


class ActionIn(Schema, extra="forbid"):
    """What a member does. ``changes`` are a DM's: ``[{"path", "op": "set|add|remove", "value", "was"}]``."""

    text: str
    changes: list[Any] | None = None


class Asked(Schema):
    """A request that is in line; ``position`` is how many are ahead of it, null once begun."""

    request_id: UUID
    status: str
    position: int | None


class GameItem(Schema):
    id: UUID
    name: str
    role: str
    turn: int


class Games(Schema):
    items: list[GameItem]
    next: str | None = Field(description="Pass it as `cursor` for the next page; null at the end.")


class DecisionsOut(Schema):
    """Who decides on drafts: ``ask`` a DM, ``never`` anyone; after ``seconds`` the ``default`` is taken."""

    ask: bool
    seconds: float
    default: str
    default_reason: str
    undo_seconds: float


class GameOut(GameItem):
    opening: str
    state: dict[str, Any]
    state_version: int
    decisions: DecisionsOut
    dm_online: bool
    cursor: int = Field(description="The number of the last event that this answer knows of.")


class TurnOut(Schema):
    """``action`` is the player's text; a DM's own words are the ``narration``."""

    number: int
    kind: str
    actor: str | None
    action: str
    narration: str
    changes: list[Any]
    request_id: UUID
    at: datetime


class Turns(Schema):
    items: list[TurnOut]
    next: int | None = Field(description="Pass it as `after` for the next page; null at the end.")
    cursor: int


class ChapterOut(Schema):
    """A chapter of the chronicle, which tells the turns from `first_turn` to `last_turn`."""

    number: int
    title: str
    text: str
    first_turn: int
    last_turn: int
    request_id: UUID = Field(alias="request")
    at: datetime


class Chapters(Schema):
    items: list[ChapterOut]
    next: int | None = Field(description="Pass it as `after` for the next page; null at the end.")


@router.get("/games", response=Games, auth=CAN_READ)
def list_games(request: HttpRequest, cursor: str = "", limit: QueryEx[int, P(ge=1, le=200)] = 50) -> dict[str, Any]:
    """The caller's games, by name."""
    mine, following = queries.memberships_after(request.user, cursor, limit=limit)
    return {"items": [_item(membership.game, membership.role) for membership in mine], "next": following}


@router.get("/games/{uuid:game_id}", response=GameOut, auth=CAN_READ)
def get_game(request: HttpRequest, game_id: UUID) -> dict[str, Any]:
    """One game as it stands."""
    game = queries.get_game(request.user, game_id)
    return {
        **_item(game, game.role_of(request.user)),
        "opening": game.opening,
        "state": game.state,
        "state_version": game.state_version,
        "decisions": {
            "ask": game.decisions == "ask",
            "seconds": game.decision_seconds,
            "default": game.decision_default,
            "default_reason": game.decision_default_reason,
            "undo_seconds": game.undo_seconds,
        },
        "dm_online": game.dm_online(),
        "cursor": game.cursor,
    }


@router.get("/games/{uuid:game_id}/chapters", response=Chapters, auth=CAN_READ)
def list_chapters(
    request: HttpRequest,
    game_id: UUID,
    after: QueryEx[int, P(ge=0, le=2**31 - 1)] = 0,
    limit: QueryEx[int, P(ge=1, le=50)] = 20,
) -> dict[str, Any]:
    """The chronicle, chapter by chapter."""
    game = queries.get_game(request.user, game_id)
    found = list(game.chapters.filter(number__gt=after).order_by("number")[: limit + 1])
    return {"items": found[:limit], "next": found[limit - 1].number if len(found) > limit else None}


@router.get("/games/{uuid:game_id}/turns", response=Turns, auth=CAN_READ)
def list_turns(
    request: HttpRequest,
    game_id: UUID,
    after: QueryEx[int, P(ge=0, le=2**31 - 1)] = 0,
    limit: QueryEx[int, P(ge=1, le=200)] = 50,
) -> dict[str, Any]:
    """What has happened, turn by turn."""
    game = queries.get_game(request.user, game_id)
    turns, following = queries.turns_after(game, after, limit=limit)
    return {"items": [_turn(turn) for turn in turns], "next": following, "cursor": game.cursor}


@router.post("/games/{uuid:game_id}/actions", response=Asked, auth=CAN_PLAY)
def post_action(
    request: HttpRequest, game_id: UUID, action: ActionIn, idempotency_key: Header[str] = ""
) -> dict[str, Any]:
    """Act, as a player or as a DM. The same `Idempotency-Key` twice is one action."""
    job = act(
        user=request.user,
        game=queries.get_seat(request.user, game_id),
        text=action.text,
        changes=action.changes,
        idempotency_key=idempotency_key,
    )
    return {"request_id": job.public_id, "status": job.request_status, "position": position(job)}


def _item(game: Game, role: str | None) -> dict[str, Any]:
    return {"id": game.pk, "name": game.name, "role": role, "turn": game.turn}


def _turn(turn: Turn) -> dict[str, Any]:
    return {
        "number": turn.number,
        "kind": turn.kind,
        "actor": turn.actor.get_username() if turn.actor else None,
        "action": turn.action,
        "narration": turn.narration,
        "changes": turn.changes,
        "request_id": turn.request,
        "at": turn.at,
    }
