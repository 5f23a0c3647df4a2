"""One WebSocket: JSON frames in and out, an answer to every wrong one, and how it ends.

Consumers are plain ASGI applications on top of this: Channels' own base classes cost a thread hop for each message,
and Redis for each connection.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Generic, Literal, Never, TypeVar

from django.conf import settings
from django.db import ProgrammingError
from pydantic import BaseModel, TypeAdapter, ValidationError

from accounts.sockets import UNAUTHORIZED, Message, Receive, Send, refuse
from jobs.connections import UNREACHABLE
from jobs.errors import Invalid, QueueError
from jobs.schema import explained
from jobs.streams.opened import noted

logger = logging.getLogger(__name__)

F = TypeVar("F")

FRAME_BYTES = 65_536
ID_CHARACTERS = 100

TRY_AGAIN = 1013
FORBIDDEN = 4403
NOT_FOUND = 4404
TOO_SLOW = 4408


class Left(Exception):
    """The client has gone."""


class Closing(Exception):
    """The server ends the connection: an error frame says why, then the close code."""

    def __init__(self, close_code: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.close_code = close_code
        self.code = code
        self.detail = detail


class Socket(Generic[F]):
    """The connection of a caller whom ``accounts.sockets`` let in; ``frames`` says what clients may send."""

    def __init__(self, receive: Receive, send: Send, frames: TypeAdapter[F]) -> None:
        self._receive = receive
        self._send = send
        self._frames = frames

    async def serve(self, work: Coroutine[Any, Any, None]) -> None:
        """Accept, do the work, and turn whatever ends it into a clean close."""
        await self._receive()
        await self._send({"type": "websocket.accept"})
        try:
            with noted("socket"):
                await work
        except* Left:
            pass
        except* Closing as group:
            await self._close(_first_of(group))
        except* (*UNREACHABLE, ProgrammingError) as group:
            logger.warning("a socket is closed, the database can't be used: %s", _first_of(group))
            await self._close(Closing(TRY_AGAIN, "unavailable", explained(_first_of(group))))

    async def _close(self, reason: BaseException) -> None:
        assert isinstance(reason, Closing)
        await refuse(self._send, reason.close_code, reason.code, reason.detail)

    async def send(self, type: str, **fields: Any) -> None:
        """A frame to the client."""
        await self._send({"type": "websocket.send", "text": json.dumps({"type": type, **fields})})

    async def refuse_frame(self, error: QueueError, *, id: str | None = None) -> None:
        """The answer to a frame that can't be followed; the connection lives on."""
        await self.send("error", id=id, **error.as_dict())

    async def frame(self) -> F:
        """The client's next well-formed frame; each other is answered with an error. ``Left`` at the end."""
        while True:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                raise Left
            body: dict[str, Any] = {}
            try:
                body = _decoded(message)
                return self._frames.validate_python(body, strict=True)
            except ValidationError as error:
                await self.refuse_frame(_explained(error, body), id=_id_of(body))
            except QueueError as error:
                await self.refuse_frame(error)

    async def guard(self, is_signed_in: Callable[[], Awaitable[bool]], recheck: Callable[[], Awaitable[None]]) -> Never:
        """Ask every ``socket_recheck_seconds`` whether the caller is still known, and what else ``recheck`` asks."""
        while True:
            await asyncio.sleep(settings.CONFIG.socket_recheck_seconds)
            if not await is_signed_in():
                raise Closing(UNAUTHORIZED, "unauthorized", "the session has ended or the token was revoked")
            await recheck()


class Ping(BaseModel, extra="forbid"):
    """Asks for a pong: all that a client of a socket that only tells may send."""

    type: Literal["ping"]


PINGS: TypeAdapter[Ping] = TypeAdapter(Ping)


async def answer_pings(socket: Socket[Ping]) -> Never:
    """Pong to each ping."""
    while True:
        await socket.frame()
        await socket.send("pong")


def _decoded(message: Message) -> dict[str, Any]:
    text = message.get("text")
    if text is None:
        raise Invalid("frames are text, not binary", code="binary_frame")
    if len(text.encode("utf-8", "surrogatepass")) > FRAME_BYTES:
        raise Invalid(f"a frame has at most {FRAME_BYTES} bytes", code="too_large")
    try:
        body = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise Invalid(f"the frame is not JSON: {error}", code="malformed_json") from None
    if not isinstance(body, dict):
        raise Invalid("a frame is a JSON object")
    return body


def _refuse_constant(name: str) -> Never:
    raise ValueError(f"{name} is not JSON")


def _explained(error: ValidationError, body: dict[str, Any]) -> Invalid:
    mistakes = error.errors(include_url=False)
    if mistakes[0]["type"] == "union_tag_invalid":
        return Invalid(f"type is none of {mistakes[0]['ctx']['expected_tags']}", code="unknown_type")
    fields = {_path(mistake["loc"], body): mistake["msg"] for mistake in mistakes}
    return Invalid("; ".join(f"{path}: {reason}" for path, reason in fields.items()), fields=fields)


def _path(place: tuple[int | str, ...], body: dict[str, Any]) -> str:
    """A mistake's place as the client knows it: not within "the kind of frame that is an action"."""
    if place and place[0] == body.get("type"):
        place = place[1:]
    return ".".join(map(str, place)) or "type"


def _id_of(body: dict[str, Any]) -> str | None:
    """The client's own id of a wrong frame, if it has one, so that the client can tell which it was."""
    given = body.get("id")
    return given if isinstance(given, str) and len(given) <= ID_CHARACTERS else None


def _first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    first: BaseException = group
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first
