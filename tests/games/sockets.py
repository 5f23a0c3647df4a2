"""A client of a game's socket for tests, within this process."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from asgiref.testing import ApplicationCommunicator

from accounts.threads import in_thread
from games.models import Game
from queueproject.asgi import application
from tests.games.watching import bearer

Frame = dict[str, Any]
TIMEOUT_SECONDS = 10.0


class Refused(Exception):
    """The handshake was denied."""


class Client:
    """A program at the other end of a socket of this process's application."""

    def __init__(self, path: str, headers: dict[str, str]) -> None:
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        scope = {"type": "websocket", "path": path, "query_string": b"", "headers": raw, "subprotocols": []}
        self._app: Any = ApplicationCommunicator(application, scope)  # type: ignore[no-untyped-call]
        self.cursor = 0

    async def open(self) -> None:
        await self._app.send_input({"type": "websocket.connect"})
        if (await self._app.receive_output(TIMEOUT_SECONDS))["type"] != "websocket.accept":
            raise Refused

    async def close(self) -> None:
        await self._app.send_input({"type": "websocket.disconnect", "code": 1000})
        await self._app.wait(TIMEOUT_SECONDS)

    async def send(self, type: str, **fields: Any) -> None:
        await self.send_text(frame(type, **fields))

    async def send_text(self, text: str) -> None:
        await self._app.send_input({"type": "websocket.receive", "text": text})

    async def send_bytes(self, raw: bytes) -> None:
        await self._app.send_input({"type": "websocket.receive", "bytes": raw})

    async def receive(self) -> Frame:
        """The next frame; a close is one of type ``closed``."""
        message = await self._app.receive_output(TIMEOUT_SECONDS)
        if message["type"] == "websocket.close":
            return {"type": "closed", "code": message["code"]}
        frame: Frame = json.loads(message["text"])
        return frame

    async def next(self, *types: str) -> Frame:
        """The next frame of one of these types, passing over others."""
        while True:
            frame = await self.receive()
            if frame["type"] == "event":
                self.cursor = frame["seq"]
            if frame["type"] in types:
                return frame

    async def events(self, count: int) -> list[Frame]:
        return [await self.next("event") for _ in range(count)]

    async def closing_code(self) -> int:
        code: int = (await self.next("closed"))["code"]
        return code

    async def is_silent(self) -> bool:
        """Whether nothing had been sent before the answer to a ping."""
        await self.send("ping")
        return await self.receive() == {"type": "pong"}


@asynccontextmanager
async def entered(game: Game, name: str, *scopes: str) -> AsyncIterator[Client]:
    """A socket of the user's that has been welcomed."""
    client = Client(f"/ws/games/{game.pk}/", await in_thread(bearer, name, *scopes))
    await client.open()
    assert (await client.receive())["type"] == "welcome"
    yield client
    await client.close()


async def turned_away(path: str, headers: dict[str, str]) -> int:
    """The code with which a socket is closed that was only opened to say so."""
    client = Client(path, headers)
    await client.open()
    return await client.closing_code()


def frame(type: str, **fields: Any) -> str:
    return json.dumps({"type": type, **fields})
