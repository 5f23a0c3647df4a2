"""The decision queue's socket: says that something has changed; the page asks again. See docs/protocol.md."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User

from accounts.models import Scope
from accounts.sockets import Receive, Send
from accounts.threads import in_thread
from approvals.queries import decidable_scopes
from approvals.signals import decider_present
from jobs.connections import UNREACHABLE
from jobs.streams import Row, Stream, hub
from jobs.streams.sockets import FORBIDDEN, PINGS, Closing, Ping, Socket, answer_pings


async def decisions_socket(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """``/ws/decisions/``, behind ``accounts.sockets``."""
    socket: Socket[Ping] = Socket(receive, send, PINGS)
    await socket.serve(_watch(socket, scope))


async def _watch(socket: Socket[Ping], scope: dict[str, Any]) -> None:
    if Scope.DECIDE not in scope["token_scopes"]:
        raise Closing(FORBIDDEN, "forbidden", f"the token lacks the scope {Scope.DECIDE.value!r}")
    async with asyncio.TaskGroup() as tasks:
        watch = Watch(socket, scope["user"], tasks)
        await watch.look()
        tasks.create_task(answer_pings(socket))
        tasks.create_task(watch.be_present())
        tasks.create_task(socket.guard(scope["revalidate"], watch.look_again))


class Watch:
    """One open socket, and the scopes it follows for as long as its user decides there."""

    def __init__(self, socket: Socket[Ping], user: User, tasks: asyncio.TaskGroup) -> None:
        self._socket = socket
        self._user = user
        self._tasks = tasks
        self._scopes: set[int] | None = None
        self._following: asyncio.Task[None] | None = None

    async def look(self) -> None:
        """Follow the scopes in which the user decides now."""
        scopes = await in_thread(decidable_scopes, self._user)
        if scopes is None:
            raise Closing(FORBIDDEN, "forbidden", "you decide in no game")
        if scopes != self._scopes:
            if self._following:
                self._following.cancel()
            self._scopes = scopes
            self._following = self._tasks.create_task(self._follow(scopes))

    async def look_again(self) -> None:
        """``look``, unless nothing can be read just now; the next check comes soon."""
        with suppress(*UNREACHABLE):
            await self.look()

    async def _follow(self, scopes: set[int]) -> None:
        async with hub().watch_many(scopes) as streams, asyncio.TaskGroup() as tasks:
            # Followed from before the client asks, so that nothing falls between its answer and our news.
            for stream in streams.values():
                tasks.create_task(self._tell(stream, stream.head))
            await self._changed(None, None)

    async def _tell(self, stream: Stream, cursor: int) -> None:
        async for row in stream.follow(cursor):
            if row.event.startswith("approval."):
                about = _about(row)
                await self._changed(about.get("approval_id"), about.get("version"))

    async def _changed(self, approval: str | None, version: int | None) -> None:
        await self._socket.send("changed", approval=approval, version=version)

    async def be_present(self) -> None:
        """Say, every ``presence_write_seconds``, that someone who decides is here."""
        while True:
            with suppress(*UNREACHABLE):
                await in_thread(_say_present, self._user)
            await asyncio.sleep(settings.CONFIG.presence_write_seconds)


def _about(row: Row) -> dict[str, Any]:
    """Which approval and version: in what everyone sees of the event, or in what deciders see of it."""
    return {**(row.data or {}), **(row.private or {})}


def _say_present(user: User) -> None:
    decider_present.send(sender=Watch, user=user)
