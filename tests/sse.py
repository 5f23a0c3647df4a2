"""A client of event streams for tests: within this process, or of a real one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from asgiref.testing import ApplicationCommunicator

from queueproject.asgi import application

TIMEOUT_SECONDS = 10.0


@dataclass
class Event:
    """A block of the stream: ``event`` is empty for an id line alone and for comments."""

    event: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    id: int | None = None
    comment: str = ""
    retry: int | None = None


def parse(block: str) -> Event:
    """One block, as the standard has it; a line that is none fails the test."""
    found = Event()
    for line in block.splitlines():
        name, colon, value = line.partition(":")
        assert colon, line
        match name:
            case "":
                found.comment = value.strip()
            case "id":
                found.id = int(value)
            case "event":
                found.event = value.strip()
            case "data":
                found.data = json.loads(value)
            case "retry":
                found.retry = int(value)
            case _:
                raise AssertionError(line)
    return found


class Streaming:
    """An answer that goes on. ``cursor`` is the last id that came, as a browser would keep it."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._text = ""
        self.status = 0
        self.headers: dict[str, str] = {}
        self.cursor: int | None = None
        self.ended = False

    async def open(self) -> None:
        start = await self._app.receive_output(TIMEOUT_SECONDS)
        self.status = start["status"]
        self.headers = {name.decode().lower(): value.decode() for name, value in start["headers"]}

    async def block(self, timeout: float = TIMEOUT_SECONDS) -> Event:
        """The next block, but how the queues stand, which comes when it likes; ``EOFError`` at the end."""
        async with asyncio.timeout(timeout):
            while (event := await self._next_block(timeout)).event == "queue.status":
                pass
        self.cursor = self.cursor if event.id is None else event.id
        return event

    async def _next_block(self, timeout: float) -> Event:
        while "\n\n" not in self._text:
            if self.ended:
                raise EOFError(self._text)
            await self._read(timeout)
        block, _, self._text = self._text.partition("\n\n")
        return parse(block)

    async def event(self, *names: str) -> Event:
        """The next event (of one of these names), passing over comments and id lines."""
        while True:
            event = await self.block()
            if event.event and (not names or event.event in names):
                return event

    async def events(self, count: int) -> list[Event]:
        return [await self.event() for _ in range(count)]

    async def rest(self) -> list[Event]:
        """All blocks up to the end."""
        found = []
        try:
            while True:
                found.append(await self.block())
        except EOFError:
            return found

    async def json(self) -> Any:
        """The whole body of an answer that is no stream."""
        while not self.ended:
            await self._read(TIMEOUT_SECONDS)
        return json.loads(self._text)

    async def leave(self) -> None:
        """Go away, and wait until the server has noticed."""
        await self._app.send_input({"type": "http.disconnect"})
        await self._app.wait(TIMEOUT_SECONDS)

    async def _read(self, timeout: float) -> None:
        message = await self._app.receive_output(timeout)
        self._text += message["body"].decode()
        self.ended = not message.get("more_body", False)


@asynccontextmanager
async def streaming(
    path: str, headers: dict[str, str], *, query: str = "", method: str = "GET"
) -> AsyncIterator[Streaming]:
    """The application's answer to this request, in this process."""
    raw = [(name.lower().encode(), value.encode()) for name, value in {"host": "testserver", **headers}.items()]
    scope = {"type": "http", "method": method, "path": path, "query_string": query.encode(), "headers": raw}
    app: Any = ApplicationCommunicator(application, scope)  # type: ignore[no-untyped-call]
    await app.send_input({"type": "http.request", "body": b""})
    stream = Streaming(app)
    await stream.open()
    try:
        yield stream
    finally:
        await stream.leave()
