"""Which members are connected to this process, written for all of them at once."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from weakref import WeakKeyDictionary

from django.conf import settings
from django.db import Error as DatabaseError

from accounts.threads import in_thread
from games.operations import present

logger = logging.getLogger(__name__)

TOGETHER_SECONDS = 0.05
"""Those who come within this time are written down together: after a restart all come at once."""


class Attendance:
    """One for each event loop. Who comes is written soon, who is here every ``presence_write_seconds``."""

    def __init__(self) -> None:
        self._here: Counter[int] = Counter()
        self._new: set[int] = set()
        self._somebody = asyncio.Event()
        self._write = asyncio.create_task(self._write_for_ever())

    @contextmanager
    def of(self, membership: int) -> Iterator[None]:
        """The member is here while the block runs."""
        self._here[membership] += 1
        self._new.add(membership)
        self._somebody.set()
        try:
            yield
        finally:
            self._here[membership] -= 1
            if not self._here[membership]:
                del self._here[membership]

    async def _write_for_ever(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    await self._somebody.wait()
            await asyncio.sleep(TOGETHER_SECONDS)
            self._somebody.clear()
            members, self._new = self._new, set()
            if loop.time() >= due:
                due = loop.time() + settings.CONFIG.presence_write_seconds
                members = set(self._here)
            await self._write_down(members)

    @staticmethod
    async def _write_down(members: set[int]) -> None:
        try:
            if members:
                await in_thread(present, members)
        except DatabaseError as error:
            logger.warning("who is here can't be written, trying again later: %s", error)
        except Exception:
            logger.exception("who is here can't be written")


_attendances: WeakKeyDictionary[asyncio.AbstractEventLoop, Attendance] = WeakKeyDictionary()


def attendance() -> Attendance:
    """The attendance of the running event loop."""
    loop = asyncio.get_running_loop()
    if loop not in _attendances:
        _attendances[loop] = Attendance()
    return _attendances[loop]
