"""The plain mode: what is typed or piped in is asked, and everything is told as lines ``kind: text``."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import TextIO

from console.errors import ConsoleError
from console.notices import Notice, shown
from console.session import NO_ACTION, Session

HELP = "/act TEXT acts, /retry asks again what failed, /state shows the state, /quit ends; anything else is said"


class Lines:
    """A view for pipes: one line for each line of a notice, at once."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def tell(self, notice: Notice) -> None:
        for line in shown(notice.text).splitlines():
            self._out.write(f"{notice.kind}: {line}\n")
        self._out.flush()


async def play(session: Session, view: Lines, typed: TextIO) -> int:
    """Until the input ends and what was asked has ended; 1 if any of it failed or came to no end, else 0."""
    following = asyncio.create_task(session.run())
    obeying = asyncio.create_task(_obey(session, view, typed))
    try:
        await asyncio.wait((following, obeying), return_when=asyncio.FIRST_COMPLETED)
        await (following if following.done() else obeying)
    except ConsoleError as error:
        view.tell(Notice(kind="error", text=str(error)))
        return 1
    finally:
        following.cancel()
        obeying.cancel()
    return int(any(asked.status == "failed" or asked.overdue for asked in session.asked))


async def _obey(session: Session, view: Lines, typed: TextIO) -> None:
    async for line in _lines(typed):
        match line.partition(" "):
            case ("/quit", _, _):
                return
            case ("/retry", _, _):
                await session.retry()
            case ("/state", _, _):
                view.tell(Notice(kind="state", text=str(session.state)))
            case ("/help", _, _):
                view.tell(Notice(kind="status", text=HELP))
            case ("/act", _, action) if action.strip():
                await session.ask("act", action.strip())
            case ("/act", _, _):
                view.tell(Notice(kind="error", text=NO_ACTION))
            case _ if line:
                await session.ask("chat", line)
    await _end(session)


async def _end(session: Session) -> None:
    """Until what was asked has ended or is overdue. Who was asked nothing has to be there at least."""
    until = time.monotonic() + session.patience.request_seconds
    while not session.name or not all(asked.overdue for asked in session.waiting):
        if not session.name and time.monotonic() > until:
            raise ConsoleError(f"no connection for {session.patience.request_seconds:g} s")
        await asyncio.sleep(0.05)


async def _lines(typed: TextIO) -> AsyncIterator[str]:
    """Read on a thread that nobody has to wait for when the program ends."""
    loop, lines = asyncio.get_running_loop(), asyncio.Queue[str]()

    def read() -> None:
        with suppress(RuntimeError):  # The loop has ended meanwhile.
            for line in typed:
                loop.call_soon_threadsafe(lines.put_nowait, line)
            loop.call_soon_threadsafe(lines.put_nowait, "")

    threading.Thread(target=read, daemon=True).start()
    while line := await lines.get():
        yield line.strip()
