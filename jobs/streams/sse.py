"""An open stream of server-sent events: a scope's events or one request's, replayed from a cursor, then followed.

Its id lines are the events' numbers. An event of which the viewer may see nothing is an id line alone, so that the
cursor moves on. A stream ends by itself once it has sent much or lasted long: what a slow reader leaves unread lies
in this process's memory.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Never
from uuid import UUID

from django.conf import settings
from django.db import InterfaceError, OperationalError

from accounts import passes
from accounts.models import Scope
from accounts.sockets import Caller, Receive, Send, identify
from accounts.threads import in_thread
from jobs.errors import Forbidden, QueueError, Refused
from jobs.streams.audience import Place, audience
from jobs.streams.http import EVENT_STREAM, Request, Unauthorized, refuse, respond, start
from jobs.streams.hub import hub
from jobs.streams.rows import Row
from jobs.streams.stream import Stream

logger = logging.getLogger(__name__)

LOST = {
    "unauthorized": "the session has ended or the token was revoked",
    "forbidden": "this is not for you any longer",
}
FINAL_EVENTS = {"request.completed", "request.rejected", "request.failed", "request.cancelled"}


@dataclass(frozen=True, kw_only=True)
class View:
    """What a caller may see: the scope, whether with what is for deciders, and of which request alone.

    ``first`` and ``last`` are the numbers of the request's first event, and of its last once it has ended.
    """

    scope_id: int
    scope_key: str
    decides: bool
    request: UUID | None = None
    first: int = 1
    last: int | None = None

    def shows(self, request: UUID | str | None) -> bool:
        """Whether events of this request belong to it."""
        return self.request is None or str(request) == str(self.request)


Look = Callable[[Caller], View]
"""What the caller may see now; ``NotFound`` if that is nothing."""


class Ended(Exception):
    """The stream has come to its end, and the client may come back with its cursor."""


class Left(Exception):
    """The client has gone."""


_open: Counter[int] = Counter()
"""How many streams each user has open in this process."""


async def serve(scope: dict[str, Any], receive: Receive, send: Send, look: Look) -> None:
    """Answer a request for a stream."""
    try:
        request = Request.of(scope)
        request.check()
        cursor = request.cursor()
        caller = await in_thread(_caller, request)
        view = await in_thread(look, caller)
        if view.last is not None and cursor is not None and cursor >= view.last:
            await respond(send, 204, {}, b"")
            return
        headers = {"Access-Control-Allow-Origin": "*"} if "pass" in request.query else {}
        with _counted(caller):
            response = Response(send, headers)
            place = audience().place(caller, view.scope_key, decides=view.decides)
            async with hub().watch(view.scope_id) as stream:
                with place as taken:
                    await Telling(response, stream, taken, view).run(receive, cursor)
    except QueueError as error:
        await refuse(send, error)
    except (OperationalError, InterfaceError) as error:
        # A browser comes back after the end of a stream, but never after an error.
        logger.warning("a stream can't begin, the database can't be reached: %s", error)
        response = Response(send, {})
        await response.begin()
        await response.event("unavailable", {"code": "unavailable", "detail": "the database can't be reached"})
        await response.finish()


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
def _counted(caller: Caller) -> Iterator[None]:
    user, limit = caller.user.pk, settings.CONFIG.stream_limit
    if _open[user] >= limit:
        retry_after = settings.CONFIG.stream_retry_seconds
        raise Refused(f"at most {limit} streams of one user", retry_after=retry_after, code="too_many_streams")
    _open[user] += 1
    try:
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
        self.sent_at = time.monotonic()

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

    async def keep_alive(self) -> None:
        """A comment, for whatever on the way takes silence for the end."""
        await self._write(": keep-alive\n\n")

    async def finish(self) -> None:
        """The end, as HTTP has it: nothing was cut off."""
        await self._send({"type": "http.response.body", "body": b""})

    async def _write(self, text: str) -> None:
        body = text.encode()
        await self._send({"type": "http.response.body", "body": body, "more_body": True})
        self.sent_at = time.monotonic()
        self._left -= len(body)
        if self._left <= 0:
            raise Ended


class Telling:
    """One open stream: to whom, and how far it has got."""

    def __init__(self, response: Response, stream: Stream, place: Place, view: View) -> None:
        self._response = response
        self._stream = stream
        self._place = place
        self._view = view
        self._told = 0

    async def run(self, receive: Receive, cursor: int | None) -> None:
        """Until the client leaves, or there is a reason to end."""
        try:
            await self._begin(cursor)
            async with asyncio.timeout(settings.CONFIG.stream_seconds), asyncio.TaskGroup() as tasks:
                tasks.create_task(self._tell())
                tasks.create_task(self._pass_on())
                tasks.create_task(self._keep_alive())
                tasks.create_task(self._guard())
                tasks.create_task(_until_left(receive))
        except* (Ended, Left, TimeoutError):
            pass
        except* asyncio.CancelledError:
            logger.info("a stream ends, the process stops")
        await self._response.finish()

    async def _begin(self, cursor: int | None) -> None:
        await self._response.begin()
        if cursor is None:
            cursor = self._stream.head if self._view.request is None else self._view.first - 1
            await self._response.cursor(cursor)
        if cursor > self._stream.head:
            await self._stream.refresh()
        if cursor > self._stream.head:
            await self._reset()
        else:
            self._told = cursor

    async def _reset(self) -> None:
        """What follows the cursor is not there any more, or never was: the client has to load a new snapshot."""
        self._told = self._stream.head
        await self._response.event("reset", {"head": self._told}, seq=self._told)

    async def _tell(self) -> None:
        while True:
            for row in await self._stream.after(self._told):
                if row.seq != self._told + 1:
                    await self._reset()
                    break
                await self._tell_of(row)
            await self._stream.changed(self._told)

    async def _tell_of(self, row: Row) -> None:
        self._told = row.seq
        if not self._view.shows(row.request):
            return
        frame = row.frame(decider=self._place.decides)
        seq, event = frame.pop("seq"), frame.pop("event")
        if event == "hidden":
            await self._response.cursor(seq)
        else:
            await self._response.event(event, frame, seq=seq)
        if self._view.request is not None and event in FINAL_EVENTS:
            raise Ended

    async def _pass_on(self) -> None:
        """What is said in passing, which has no number."""
        with self._stream.listen() as inbox:
            while True:
                told = await inbox.get()
                if self._view.shows(told.request_id) and (self._place.decides or not told.deciders_only):
                    frame = told.frame()
                    await self._response.event(frame.pop("event"), frame)

    async def _keep_alive(self) -> Never:
        every: float = settings.CONFIG.stream_keep_alive_seconds
        while True:
            await asyncio.sleep(self._response.sent_at + every - time.monotonic())
            if time.monotonic() >= self._response.sent_at + every:
                await self._response.keep_alive()

    async def _guard(self) -> Never:
        code = await self._place.lost
        await self._response.event("closed", {"code": code, "detail": LOST[code]})
        raise Ended


async def _until_left(receive: Receive) -> Never:
    while (await receive())["type"] != "http.disconnect":
        pass
    raise Left
