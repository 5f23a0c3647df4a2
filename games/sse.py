"""A game's stream: ``GET /v1/events/games/<id>``. See docs/protocol.md."""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import UUID

from accounts.sockets import Caller, Receive, Send
from games.consumers import take_seat
from games.operations import NO_GAME
from jobs.errors import NotFound
from jobs.streams import scope_id
from jobs.streams.sse import View, serve


async def game_events(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """What happens in the game, from now or from a cursor on."""
    await serve(scope, receive, send, partial(look_at_game, scope["url_route"]["kwargs"]["game_id"]))


def look_at_game(game_id: UUID, caller: Caller) -> View:
    """What this caller may see of the game."""
    seat = take_seat(caller.user, caller.scopes, game_id)
    if seat is None:
        raise NotFound(NO_GAME)
    key = seat.game.scope_key
    return View(scope_id=scope_id(key), scope_key=key, decides=seat.decides)
