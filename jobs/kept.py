"""An answer of the database that a process keeps for a while, for all who ask."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Kept(Generic[T]):
    """What ``load`` gave, for as long as ``seconds`` says. One thread at a time asks anew.

    Who comes meanwhile gets the last answer: waiting for it with a pooled connection in hand could keep the one who
    asks from getting a connection.
    """

    def __init__(self, load: Callable[[], T], seconds: Callable[[], float]) -> None:
        self._load = load
        self._seconds = seconds
        self._asking = threading.Lock()
        self._kept: T | None = None
        self._good_until = 0.0

    @property
    def fresh(self) -> T | None:
        """What is kept, if it is still good enough; asks nothing."""
        return self._kept if time.monotonic() < self._good_until else None

    def read(self) -> T:
        """What is kept, asked for anew if it is too old."""
        if (fresh := self.fresh) is not None:
            return fresh
        mine = self._asking.acquire(blocking=False)
        try:
            if not mine and self._kept is not None:
                return self._kept
            self._kept = kept = self._load()
            self._good_until = time.monotonic() + self._seconds()
            return kept
        finally:
            if mine:
                self._asking.release()

    def forget(self) -> None:
        """Ask next time, and never answer with what was known."""
        self._good_until, self._kept = 0.0, None
