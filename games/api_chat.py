"""Chat over HTTP: a message is taken at once, and the answer comes as events."""

from __future__ import annotations

from typing import Any, Self
from uuid import UUID

from django.http import HttpRequest
from ninja import Field, Header, Router, Schema
from pydantic import model_validator

from accounts.authentication import CAN_PLAY
from games import queries
from games.operations import chat
from jobs.errors import Invalid

router = Router(tags=["games"])


class ChatIn(Schema, extra="forbid"):
    """What is said, and in which game: `game_id`, or `game_state_id`, which is the same."""

    message: str
    game_id: UUID | None = None
    game_state_id: UUID | None = None

    @model_validator(mode="after")
    def _name_one_game(self) -> Self:
        if not (self.game_id or self.game_state_id):
            raise ValueError("game_id or game_state_id is missing")
        if self.game_id and self.game_state_id and self.game_id != self.game_state_id:
            raise ValueError("game_id and game_state_id name two games")
        return self

    def game(self) -> UUID:
        """The game's id, under whichever name it came."""
        found = self.game_id or self.game_state_id
        assert found is not None
        return found


class Taken(Schema):
    """Follow it with `GET /v1/events/requests/{id}`, or ask with `GET /v1/requests/{id}`."""

    request_id: UUID
    status: str = Field(examples=["queued"])


@router.post("/chat", response=Taken, auth=CAN_PLAY)
def post_chat(request: HttpRequest, said: ChatIn, idempotency_key: Header[str] = "") -> dict[str, Any]:
    """Say something in a game. The same `Idempotency-Key` twice is one message."""
    game = queries.get_seat(request.user, said.game())
    try:
        job = chat(user=request.user, game=game, text=said.message, idempotency_key=idempotency_key)
    except Invalid as error:
        raise _as_sent(error) from None
    return {"request_id": job.public_id, "status": job.request_status}


def _as_sent(error: Invalid) -> Invalid:
    """The operation's ``text`` is the client's ``message``."""
    fields = {"message" if path == "text" else path: why for path, why in error.extra.get("fields", {}).items()}
    return Invalid("; ".join(f"{path}: {why}" for path, why in fields.items()) or error.detail, fields=fields)
