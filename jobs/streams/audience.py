"""Who watches in this process, and whether they still may: asked for all of them at once.

Each would otherwise ask for itself, and a thousand open streams would keep the database busy with nothing else.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from django.conf import settings
from django.db import Error as DatabaseError

from accounts.models import Scope
from accounts.sockets import Caller, those_still_valid
from accounts.threads import in_thread
from jobs.registry import scope_rules

logger = logging.getLogger(__name__)


@dataclass(eq=False)
class Place:
    """Somebody who watches a scope: whether with what is for deciders, and why no longer."""

    caller: Caller
    scope_key: str
    decides: bool
    lost: asyncio.Future[str] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    """Ends when the right has: ``unauthorized`` (session or token) or ``forbidden`` (the scope)."""

    def lose(self, code: str) -> None:
        """The right has ended; said once."""
        if not self.lost.done():
            self.lost.set_result(code)


Verdict = bool | str
"""Whether a place may see what is for deciders, or why it is lost."""


class Audience:
    """One for each event loop. Rights are as new as ``socket_recheck_seconds``."""

    def __init__(self) -> None:
        self._places: set[Place] = set()
        self._ask = asyncio.create_task(self._ask_for_ever())

    @contextmanager
    def place(self, caller: Caller, scope_key: str, *, decides: bool) -> Iterator[Place]:
        """A place for somebody whose rights have just been asked, kept right while the block runs."""
        place = Place(caller, scope_key, decides)
        self._places.add(place)
        try:
            yield place
        finally:
            self._places.discard(place)
            place.lost.cancel()

    async def _ask_for_ever(self) -> None:
        while True:
            await asyncio.sleep(settings.CONFIG.socket_recheck_seconds)
            if not (places := list(self._places)):
                continue
            try:
                verdicts = await in_thread(judge, places)
            except DatabaseError as error:
                logger.warning("who may still watch can't be asked, trying again: %s", error)
                continue
            except Exception:
                logger.exception("who may still watch can't be asked")
                continue
            for place in places:
                if isinstance(verdict := verdicts[place], str):
                    place.lose(verdict)
                else:
                    place.decides = verdict


def judge(places: Iterable[Place]) -> dict[Place, Verdict]:
    """One statement for all tokens, two for all sessions and one for each scope."""
    by_scope: defaultdict[str, list[Place]] = defaultdict(list)
    for place in places:
        by_scope[place.scope_key].append(place)
    valid = those_still_valid({place.caller for here in by_scope.values() for place in here})
    found: dict[Place, Verdict] = {}
    for key, here in by_scope.items():
        viewers = scope_rules(key).viewers(key, {place.caller.user.pk for place in here})
        for place in here:
            decides = viewers.get(place.caller.user.pk)
            if place.caller not in valid:
                found[place] = "unauthorized"
            elif decides is None:
                found[place] = "forbidden"
            else:
                found[place] = decides and Scope.DECIDE in place.caller.scopes
    return found


_audiences: WeakKeyDictionary[asyncio.AbstractEventLoop, Audience] = WeakKeyDictionary()


def audience() -> Audience:
    """The audience of the running event loop."""
    loop = asyncio.get_running_loop()
    if loop not in _audiences:
        _audiences[loop] = Audience()
    return _audiences[loop]
