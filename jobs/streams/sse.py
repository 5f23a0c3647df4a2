"""An open stream of server-sent events: a scope's events or one request's, replayed from a cursor, then followed.

Its id lines are the events' numbers. An event of which the viewer may see nothing is an id line alone, so that the
cursor moves on. A stream ends by itself once it has sent much or lasted long: what a slow reader leaves unread lies
in this process's memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Never
from uuid import UUID

from accounts.sockets import Caller, Receive, Send
from accounts.threads import in_thread
from jobs.streams.answering import LOST, Ended, Response, answer, counted, headers_of, run
from jobs.streams.audience import Place, audience
from jobs.streams.http import Request, respond
from jobs.streams.hub import hub
from jobs.streams.rows import Row
from jobs.streams.stream import Stream

FINAL_EVENTS = {"request.completed", "request.rejected", "request.failed", "request.cancelled"}


@dataclass(frozen=True, kw_only=True)
class View:
    """What a caller may see: the scope, whether with what is for deciders, and of which request alone.

    ``first`` and ``last`` are the numbers of the first event of the request's current run, and of its last once it has
    ended. What a former run ended with is no end.
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


async def serve(scope: dict[str, Any], receive: Receive, send: Send, look: Look) -> None:
    """Answer a request for a stream."""

    async def tell(request: Request, caller: Caller) -> None:
        cursor = request.cursor()
        view = await in_thread(look, caller)
        if view.last is not None and cursor is not None and cursor >= view.last:
            await respond(send, 204, {}, b"")
            return
        with counted(caller):
            response = Response(send, headers_of(request))
            place = audience().place(caller, view.scope_key, decides=view.decides)
            async with hub().watch(view.scope_id) as stream:
                with place as taken:
                    await Telling(response, stream, taken, view).run(receive, cursor)

    await answer(scope, send, tell)


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
        await run(self._response, receive, self._begin(cursor), self._tell, self._pass_on, self._guard)

    async def _begin(self, cursor: int | None) -> None:
        if cursor is not None and cursor > self._stream.head:
            await self._stream.refresh()  # Before the answer begins: without a database it is another one.
        await self._response.begin()
        if cursor is None:
            cursor = self._stream.head if self._view.request is None else self._view.first - 1
            await self._response.cursor(cursor)
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
            await self._stream.changed(self._told)
            if not (rows := await self._stream.after(self._told)):
                await self._reset()
            for row in rows:
                if row.seq != self._told + 1:
                    await self._reset()
                    break
                await self._tell_of(row)

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
        if self._view.request is not None and event in FINAL_EVENTS and seq >= self._view.first:
            raise Ended

    async def _pass_on(self) -> None:
        """What is said in passing, which has no number."""
        with self._stream.listen() as inbox:
            while True:
                told = await inbox.get()
                if self._view.shows(told.request_id) and (self._place.decides or not told.deciders_only):
                    frame = told.frame()
                    await self._response.event(frame.pop("event"), frame)

    async def _guard(self) -> Never:
        code = await self._place.lost
        await self._response.event("closed", {"code": code, "detail": LOST[code]})
        raise Ended
