"""Scenarios and the events that wait in stories, over HTTP at /v1/ops/: for staff, with a right for each."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import Model
from django.http import HttpRequest
from ninja import Field, P, QueryEx, Router, Schema

from accounts.authentication import CAN_OPERATE, CAN_READ
from accounts.permissions import may
from games import story_events
from games.models import Game, Happened, Scenario
from games.scenarios import operations
from games.scenarios.reading import SOURCE_CHARACTERS
from jobs.errors import Forbidden, NotFound
from jobs.operations.operator import Operator

router = Router(tags=["operating"])


class ScenarioIn(Schema, extra="forbid"):
    source: str = Field(max_length=SOURCE_CHARACTERS, description="The file, in YAML or JSON.")


class ScenarioOut(Schema):
    id: int
    name: str
    version: int
    created_at: datetime


class Scenarios(Schema):
    items: list[ScenarioOut]


class WaitingEvent(Schema):
    """A request that will tell of events, in the game's line; `events` are their ids, `text` their titles."""

    request_id: UUID
    text: str
    events: list[str]
    prompts: list[str]
    queued_at: datetime


class WaitingEvents(Schema):
    count: int
    items: list[WaitingEvent]


class Cleared(Schema):
    count: int


@router.get("/ops/scenarios", response=Scenarios, auth=CAN_READ)
def list_scenarios(request: HttpRequest, limit: QueryEx[int, P(ge=1, le=200)] = 50) -> dict[str, Any]:
    """Every version of every scenario, by name, the newest first."""
    _operator(request, "view", Scenario())
    return {"items": list(Scenario.objects.all()[:limit])}


@router.post("/ops/scenarios", response=ScenarioOut, auth=CAN_OPERATE)
def load_scenario(request: HttpRequest, body: ScenarioIn) -> Scenario:
    """Keep it as the next version. Games go on with the version they began with."""
    return operations.load(source=body.source, by=_operator(request, "add", Scenario()))


@router.get("/ops/games/{uuid:game_id}/story-events", response=WaitingEvents, auth=CAN_READ)
def peek_story_events(request: HttpRequest, game_id: UUID, limit: QueryEx[int, P(ge=1, le=200)] = 50) -> dict[str, Any]:
    """The events of the story that wait to be told, and how many requests that are in all."""
    _operator(request, "view", Happened())
    game = _game(game_id)
    return {"count": story_events.waiting(game).count(), "items": story_events.peek(game, limit=limit)}


@router.delete("/ops/games/{uuid:game_id}/story-events", response=Cleared, auth=CAN_OPERATE)
def clear_story_events(request: HttpRequest, game_id: UUID) -> dict[str, int]:
    """Call them off."""
    by = _operator(request, "change", Happened())
    return {"count": story_events.clear(_game(game_id), by=by)}


def _game(game_id: UUID) -> Game:
    game = Game.objects.select_related("scenario").filter(pk=game_id).first()
    if game is None:
        raise NotFound("there is no such game")
    return game


def _operator(request: HttpRequest, action: str, on: Model) -> Operator:
    """The caller, if they may; asked first, so that strangers learn nothing."""
    user = cast(User, request.user)
    if may(user, action, on):
        return Operator(user=user, via="api")
    if may(user, "view", on):
        raise Forbidden(f"this needs the right games.{action}_{on._meta.model_name}")
    raise NotFound("there is nothing here")
