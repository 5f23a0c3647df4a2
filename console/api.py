"""The server's API as this client uses it; see docs/protocol.md."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, Literal

import httpx

from console.errors import Refused, Unreachable
from console.sse import Event, Reader

ANSWER_SECONDS = 15.0
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

    async def game(self) -> dict[str, Any]:
        """The game as it stands, with its ``cursor``."""
        return await self._call("GET", self._game)

    async def turns(self, after: int) -> list[dict[str, Any]]:
        """The next page of turns after this one."""
        items: list[dict[str, Any]] = (await self._call("GET", f"{self._game}/turns", params={"after": after}))["items"]
        return items

    async def request(self, request_id: str) -> dict[str, Any]:
        """How a request stands."""
        return await self._call("GET", f"/v1/requests/{request_id}")

    async def ask(self, kind: Kind, text: str, key: str) -> dict[str, Any]:
        """Chat or act; the same key twice is one request."""
        headers = {"Idempotency-Key": key}
        if kind == "chat":
            body = {"message": text, "game_id": self._id}
            return await self._call("POST", "/v1/chat", json=body, headers=headers)
        return await self._call("POST", f"{self._game}/actions", json={"text": text}, headers=headers)

    async def retry(self, request_id: str) -> dict[str, Any]:
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

    async def _call(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        try:
            answer = await self._http.request(method, path, **options)
        except httpx.HTTPError as error:
            raise Unreachable(_why(error)) from error
        _check(answer)
        try:
            body: dict[str, Any] = answer.json()
        except ValueError:
            raise Unreachable("the server answered something else than JSON") from None
        return body


async def _check_stream(answer: httpx.Response) -> None:
    if not answer.is_success:
        await answer.aread()
        _check(answer)
    if not answer.headers.get("content-type", "").startswith(STREAM):
        raise Unreachable("something else than an event stream was answered")


def _check(answer: httpx.Response) -> None:
    if answer.is_success:
        return
    try:
        body = answer.json()
        code, detail = str(body["code"]), str(body["detail"])
    except (ValueError, KeyError, TypeError):
        code, detail = "", f"the server answered {answer.status_code}"
    after = answer.headers.get("retry-after", "")
    raise Refused(answer.status_code, code, detail, float(after) if after.isdecimal() else None)


def _why(error: httpx.HTTPError) -> str:
    match error:
        case httpx.ConnectError():
            return "the server can't be reached"
        case httpx.TimeoutException():
            return "the server does not answer"
    return "the connection broke off"
