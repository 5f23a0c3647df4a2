"""A job's own stream for operators: ``GET /v1/events/jobs/<id>``. See docs/protocol.md.

Lines of its log have their numbers as ids, so a reader that comes back misses none. How it stands is told whenever
that is new. Everything is read from the record; through Redis comes only that there is news.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Never
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User
from django.db import Error as DatabaseError

from accounts.permissions import may
from accounts.sockets import Caller, Receive, Send
from accounts.threads import in_thread
from jobs.errors import NotFound
from jobs.lookup import one
from jobs.models import Job
from jobs.models_steps import JobLog
from jobs.rules import may_inspect
from jobs.streams.answering import LOST, Ended, Response, answer, counted, headers_of, run
from jobs.streams.http import Request, respond
from jobs.streams.hub import hub

logger = logging.getLogger(__name__)

PAGE_LINES = 200


@dataclass(frozen=True)
class Look:
    """A job as one caller sees it now: how it stands, and the next lines of its log."""

    job_id: int
    state: dict[str, Any]
    lines: Sequence[JobLog]
    ended: bool


def look(job_id: UUID, caller: Caller, cursor: int) -> Look:
    """The job with the lines after ``cursor``; ``NotFound`` for who may not see jobs. Lines and progress are for those
    who may see what jobs hold."""
    job = one(Job.objects.filter(public_id=job_id).defer("payload", "result")) if _may_look(caller) else None
    if job is None:
        raise NotFound("there is no such job")
    inspected = may_inspect(caller.user)
    state = {name: getattr(job, name) for name in ("status", "run", "attempt")}
    lines = JobLog.objects.filter(job=job, pk__gt=cursor).order_by("pk")[:PAGE_LINES] if inspected else ()
    return Look(job.pk, state | {"progress": job.progress if inspected else None}, list(lines), job.ended)


def _as_of_now(caller: Caller) -> Caller | None:
    """The caller with the rights of now; ``None`` once the session has ended or the token was revoked."""
    user = User.objects.filter(pk=caller.user.pk).first() if caller.holds() else None
    return replace(caller, user=user) if user else None


def _may_look(caller: Caller) -> bool:
    return may(caller.user, "view", Job())


async def job_events(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """From the first line that is kept, or from a cursor, to the job's end."""
    job_id: UUID = scope["url_route"]["kwargs"]["job_id"]

    async def tell(request: Request, caller: Caller) -> None:
        cursor = request.cursor()
        first = await in_thread(look, job_id, caller, cursor or 0)
        if cursor is not None and first.ended and not first.lines:
            await respond(send, 204, {}, b"")
            return
        with counted(caller), hub().watch_job(first.job_id) as news:
            response = Response(send, headers_of(request))
            await Tail(response, job_id, caller, cursor or 0, news).run(receive)

    await answer(scope, send, tell)


class Tail:
    """One open stream: of which job, to whom, and how far it has got."""

    def __init__(self, response: Response, job_id: UUID, caller: Caller, cursor: int, news: asyncio.Event) -> None:
        self._response = response
        self._news = news
        self._job_id = job_id
        self._caller = caller
        self._cursor = cursor
        self._state: dict[str, Any] = {}

    async def run(self, receive: Receive) -> None:
        """Until the client leaves, the job has ended, or there is another reason to end."""
        await run(self._response, receive, self._begin(), self._follow, self._guard)

    async def _begin(self) -> None:
        await self._response.begin()
        await self._response.cursor(self._cursor)

    async def _follow(self) -> Never:
        while True:
            await self._news.wait()
            self._news.clear()
            try:
                await self._tell_all()
            except DatabaseError as error:
                logger.warning("a job's news can't be read, trying again: %s", error)
                await asyncio.sleep(settings.CONFIG.follow_seconds)
                self._news.set()

    async def _tell_all(self) -> None:
        while True:
            try:
                seen = await in_thread(look, self._job_id, self._caller, self._cursor)
            except NotFound:
                await self._leave("forbidden")
            await self._tell(seen)
            if len(seen.lines) < PAGE_LINES:
                break
        if seen.ended:
            raise Ended

    async def _tell(self, seen: Look) -> None:
        for line in seen.lines:
            at = line.at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
            data = {"at": at, "attempt": line.attempt, "text": line.text}
            await self._response.event("job.log", data, seq=line.pk)
            self._cursor = line.pk
        if seen.state != self._state:
            self._state = seen.state
            await self._response.event("job.changed", seen.state)

    async def _guard(self) -> Never:
        while True:
            await asyncio.sleep(settings.CONFIG.socket_recheck_seconds)
            with suppress(DatabaseError):
                if (caller := await in_thread(_as_of_now, self._caller)) is None:
                    await self._leave("unauthorized")
                self._caller = caller
                self._news.set()  # what may be seen may be another now

    async def _leave(self, code: str) -> Never:
        await self._response.event("closed", {"code": code, "detail": LOST[code]})
        raise Ended
