"""The server's API as this client uses it; see docs/protocol.md."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, Literal

import httpx

from console.errors import Odd, Refused, Unreachable
from console.shapes import Shape, parsed
from console.sse import Event, Reader

ANSWER_SECONDS = 15.0
WHOLE_ANSWER_SECONDS = 60.0
ANSWER_BYTES = 16_777_216
LONGEST_RETRY_AFTER_SECONDS = 600.0
DETAIL_CHARACTERS = 500
STREAM = "text/event-stream"

Kind = Literal["chat", "act"]


class Api:
    """One game on one server, with one user's token. Every call may raise ``Unreachable`` or ``Refused``."""

    def __init__(self, server: str, token: str, game: str) -> None:
        self._game = f"/v1/games/{game}"
        self._stream = f"/v1/events/games/{game}"
        self._id = game
        self._http = httpx.AsyncClient(
            base_url=server.rstrip("/"),
            headers={"Authorization": f"Bearer {token}", "User-Agent": "queueproject-console"},
            timeout=ANSWER_SECONDS,
        )

    async def close(self) -> None:
        await self._http.aclose()

    async def game(self) -> Shape:
        """The game as it stands, with its ``cursor``."""
        return await self._call("GET", self._game)

    async def turns(self, after: int) -> list[Shape]:
        """The next page of turns after this one."""
        return (await self._call("GET", f"{self._game}/turns", params={"after": after})).each("items")

    async def request(self, request_id: str) -> Shape:
        """How a request stands."""
        return await self._call("GET", f"/v1/requests/{request_id}")

    async def ask(self, kind: Kind, text: str, key: str) -> Shape:
        """Chat or act; the same key twice is one request."""
        headers = {"Idempotency-Key": key}
        if kind == "chat":
            body = {"message": text, "game_id": self._id}
            return await self._call("POST", "/v1/chat", json=body, headers=headers)
        return await self._call("POST", f"{self._game}/actions", json={"text": text}, headers=headers)

    async def retry(self, request_id: str) -> Shape:
        """Run a request that failed again, under its id, at the end of its line."""
        return await self._call("POST", f"/v1/requests/{request_id}/retry")

    async def events(self, cursor: int, *, silence_seconds: float) -> AsyncGenerator[Event]:
        """The game's events after ``cursor``, until the server ends the stream.

        The first is ``open``, ours, once the first bytes are here: a proxy may hold back all that would follow.
        """
        reader = Reader()
        try:
            async with self._http.stream(
                "GET",
                self._stream,
                params={"last_event_id": cursor},
                headers={"Accept": STREAM},
                timeout=httpx.Timeout(ANSWER_SECONDS, read=silence_seconds),
            ) as answer:
                await _check_stream(answer)
                opened = False
                async for raw in answer.aiter_bytes():
                    if not opened:
                        opened = True
                        yield Event("", "open", None)
                    for event in reader.feed(raw):
                        yield event
        except httpx.HTTPError as error:
            raise Unreachable(_why(error)) from error

    async def _call(self, method: str, path: str, **options: Any) -> Shape:
        try:
            async with self._http.stream(method, path, **options) as answer:
                body = await _body(answer)
        except httpx.HTTPError as error:
            raise Unreachable(_why(error)) from error
        _check(answer, body)
        try:
            return Shape(parsed(body), path)
        except Odd as odd:
            raise Unreachable(f"the server answered something unexpected: {odd}") from None


async def _body(answer: httpx.Response) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(WHOLE_ANSWER_SECONDS):
            async for piece in answer.aiter_bytes():
                body += piece
                if len(body) > ANSWER_BYTES:
                    raise Odd(f"the server answered with more than {ANSWER_BYTES >> 20} MB")
    except TimeoutError:
        raise Unreachable("the server does not come to the end of its answer") from None
    return bytes(body)


async def _check_stream(answer: httpx.Response) -> None:
    if not answer.is_success:
        _check(answer, await _body(answer))
    if not answer.headers.get("content-type", "").startswith(STREAM):
        raise Unreachable("something else than an event stream was answered")


def _check(answer: httpx.Response, body: bytes) -> None:
    if answer.is_success:
        return
    try:
        told = Shape(parsed(body), "the refusal")
        code, detail = told.text("code"), told.text("detail")[:DETAIL_CHARACTERS]
    except Odd:
        code, detail = "", f"the server answered {answer.status_code}"
        if answer.has_redirect_location:
            detail += f" and points to {answer.headers['location']}: give the address that it is at as --server"
    raise Refused(answer.status_code, code, detail, _retry_after(answer.headers.get("retry-after", "")))


def _retry_after(told: str) -> float | None:
    return min(float(told), LONGEST_RETRY_AFTER_SECONDS) if told.isdecimal() else None


def _why(error: httpx.HTTPError) -> str:
    match error:
        case httpx.ConnectError():
            return "the server can't be reached"
        case httpx.TimeoutException():
            return "the server does not answer"
    return "the connection broke off"
