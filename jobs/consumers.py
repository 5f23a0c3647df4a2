"""The operators' socket: how the queues stand, at most once a second. See docs/metrics.md."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from django.contrib.auth.models import User

from accounts.models import Scope
from accounts.sockets import Receive, Send
from accounts.threads import in_thread
from jobs.connections import UNREACHABLE
from jobs.overview import Overview, overview
from jobs.streams.sockets import FORBIDDEN, PINGS, Closing, Ping, Socket, answer_pings

EVERY_SECONDS = 1.0


async def ops_socket(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """``/ws/ops/``, behind ``accounts.sockets``."""
    socket: Socket[Ping] = Socket(receive, send, PINGS)
    await socket.serve(_watch(socket, scope))


async def _watch(socket: Socket[Ping], scope: dict[str, Any]) -> None:
    user: User = scope["user"]
    if Scope.METRICS not in scope["token_scopes"]:
        raise Closing(FORBIDDEN, "forbidden", f"the token lacks the scope {Scope.METRICS.value!r}")
    await _check_staff(user)

    async def recheck() -> None:
        with suppress(*UNREACHABLE):
            await _check_staff(user)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_tell(socket))
        tasks.create_task(answer_pings(socket))
        tasks.create_task(socket.guard(scope["revalidate"], recheck))


async def _check_staff(user: User) -> None:
    if not await in_thread(User.objects.filter(pk=user.pk, is_active=True, is_staff=True).exists):
        raise Closing(FORBIDDEN, "forbidden", "the queues' status is for staff")


async def _tell(socket: Socket[Ping]) -> None:
    """Each overview once. All sockets of the process share it; while nothing can be read, nothing is sent."""
    told: Overview | None = None
    while True:
        with suppress(*UNREACHABLE):
            if (now := overview.fresh) is None:
                now = await in_thread(overview.read)
            if now is not told:
                await socket.send("queue.status", **now.as_json())
                told = now
        await asyncio.sleep(EVERY_SECONDS)
