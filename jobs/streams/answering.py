"""Answering a request for an event stream: who asks, the answer as it goes out, and how it ends."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Never

from django.conf import settings

from accounts import passes
from accounts.models import Scope
from accounts.sockets import Caller, Receive, Send, identify
from accounts.threads import in_thread
from jobs.connections import UNREACHABLE
from jobs.errors import Forbidden, QueueError, Refused, Unauthorized
from jobs.streams.http import EVENT_STREAM, Request, refuse, start
from jobs.streams.opened import noted

logger = logging.getLogger(__name__)

Work = Callable[[], Coroutine[Any, Any, None]]

LOST = {
    "unauthorized": "the session has ended or the token was revoked",
    "forbidden": "this is not for you any longer",
}


class Ended(Exception):
    """The stream has come to its end, and the client may come back with its cursor."""


class Left(Exception):
    """The client has gone."""


_open: Counter[int] = Counter()
"""How many streams each user has open in this process."""


async def answer(scope: dict[str, Any], send: Send, tell: Callable[[Request, Caller], Awaitable[None]]) -> None:
    """Find out who asks and let ``tell`` answer; what it raises before its answer begins is a refusal."""
    try:
        request = Request.of(scope)
        request.check()
        await tell(request, await in_thread(_caller, request))
    except QueueError as error:
        await refuse(send, error)
    except UNREACHABLE as error:
        # A browser comes back after the end of a stream, but never after an error.
        logger.warning("a stream can't begin, the database can't be reached: %s", error)
        response = Response(send, {})
        await response.begin()
        await response.event("unavailable", {"code": "unavailable", "detail": "the database can't be reached"})
        await response.finish()


def headers_of(request: Request) -> dict[str, str]:
    """What the answer's head says beyond the usual: a pass may be used by pages of any origin."""
    return {"Access-Control-Allow-Origin": "*"} if "pass" in request.query else {}


def _caller(request: Request) -> Caller:
    if "pass" in request.query and "authorization" not in request.headers:
        caller = passes.redeem(request.query["pass"], stream=request.path)
    else:
        caller = identify(request.headers)
    if caller is None:
        raise Unauthorized("sign in, or send a valid token or an unused pass")
    if Scope.READ not in caller.scopes:
        raise Forbidden(f"the token lacks the scope {Scope.READ.value!r}")
    return caller


@contextmanager
def counted(caller: Caller) -> Iterator[None]:
    """One more open stream of theirs while the block runs; ``Refused`` if they have too many."""
    user, limit = caller.user.pk, settings.CONFIG.stream_limit
    if _open[user] >= limit:
        retry_after = settings.CONFIG.stream_retry_seconds
        raise Refused(f"at most {limit} streams of one user", retry_after=retry_after, code="too_many_streams")
    _open[user] += 1
    try:
        with noted("stream"):
            yield
    finally:
        _open[user] -= 1
        if not _open[user]:
            del _open[user]


class Response:
    """The answer as it goes out, and when it has been enough."""

    def __init__(self, send: Send, headers: dict[str, str]) -> None:
        self._send = send
        self._headers = headers
        self._left = settings.CONFIG.stream_bytes
        self._sent_at = time.monotonic()

    async def begin(self) -> None:
        """The head, and how long a browser waits before it comes back."""
        await start(self._send, 200, {"Content-Type": EVENT_STREAM, "X-Accel-Buffering": "no", **self._headers})
        await self._write(f"retry: {round(settings.CONFIG.stream_retry_seconds * 1000)}\n\n")

    async def event(self, event: str, data: dict[str, Any], *, seq: int | None = None) -> None:
        """One event; ``Ended`` if there was room for no more after it."""
        number = f"id: {seq}\n" if seq is not None else ""
        await self._write(f"{number}event: {event}\ndata: {json.dumps(data)}\n\n")

    async def cursor(self, seq: int) -> None:
        """The number alone: a browser remembers it, and nothing else happens."""
        await self._write(f"id: {seq}\n\n")

    async def keep_alive(self) -> Never:
        """A comment after each silence, for whatever on the way takes it for the end."""
        every: float = settings.CONFIG.stream_keep_alive_seconds
        while True:
            await asyncio.sleep(self._sent_at + every - time.monotonic())
            if time.monotonic() >= self._sent_at + every:
                await self._write(": keep-alive\n\n")

    async def finish(self) -> None:
        """The end, as HTTP has it: nothing was cut off."""
        await self._send({"type": "http.response.body", "body": b""})

    async def _write(self, text: str) -> None:
        body = text.encode()
        await self._send({"type": "http.response.body", "body": body, "more_body": True})
        self._sent_at = time.monotonic()
        self._left -= len(body)
        if self._left <= 0:
            raise Ended


async def run(response: Response, receive: Receive, begin: Awaitable[None], *work: Work) -> None:
    """Begin, then work until the client leaves, some of the work has ``Ended``, or the stream has lasted enough."""
    try:
        await begin
        async with asyncio.timeout(settings.CONFIG.stream_seconds), asyncio.TaskGroup() as tasks:
            for each in work:
                tasks.create_task(each())
            tasks.create_task(response.keep_alive())
            tasks.create_task(_until_left(receive))
    except* (Ended, Left, TimeoutError):
        pass
    except* asyncio.CancelledError:
        logger.info("a stream ends, the process stops")
    await response.finish()


async def _until_left(receive: Receive) -> Never:
    """``Left`` when the client goes."""
    while (await receive())["type"] != "http.disconnect":
        pass
    raise Left
