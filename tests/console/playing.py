"""A console's session without a terminal, at a server that is far away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from console.api import Api
from console.notices import Notice
from console.patience import Patience
from console.session import Session
from tests.console.far import FarServer
from tests.waiting import await_until


class Heard:
    """A view that keeps what it is told."""

    def __init__(self) -> None:
        self.notices: list[Notice] = []

    def tell(self, notice: Notice) -> None:
        self.notices.append(notice)

    def connections(self) -> list[str]:
        return [notice.text for notice in self.notices if notice.kind == "connection"]

    async def says(self, start: str, *, times: int = 1) -> None:
        async def found() -> bool:
            return sum(notice.text.startswith(start) for notice in self.notices) >= times

        await await_until(found, timeout=20, what=f"{times} notices that begin with {start!r}")


@asynccontextmanager
async def playing(server: FarServer, patience: Patience) -> AsyncIterator[tuple[Heard, Session, asyncio.Task[None]]]:
    """What is heard, the session, and the task that ends with it."""
    heard, api = Heard(), Api(server.url, "qp_t", "g")
    session = Session(api, heard, patience)
    task = asyncio.create_task(session.run())
    try:
        yield heard, session, task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await api.close()
