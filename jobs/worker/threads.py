"""The threads that handlers run in: as few are awake as the handlers need."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue

logger = logging.getLogger(__name__)


class Threads:
    """At most ``size`` threads, which take tasks in turn.

    A thread that takes a task wakes one more if others wait, before it runs its own: those that block are joined by
    others at once, those that don't are worked off by one thread without a switch between them. A pool that wakes a
    thread for each task spends more on switching than short tasks cost.
    """

    def __init__(self, size: int, run: Callable[..., None], *, name: str) -> None:
        self._size = size
        self._run = run
        self._name = name
        self._lock = threading.Lock()
        self._tasks: deque[tuple[object, ...]] = deque()
        self._wake = SimpleQueue[bool]()
        self._waking = False
        self._idle = 0
        self._count = 0

    def submit(self, *task: object) -> None:
        """Have a thread call ``run`` with this soon."""
        with self._lock:
            self._tasks.append(task)
            self._wake_one()

    @property
    def behind(self) -> bool:
        """Whether tasks wait that no thread has begun."""
        return bool(self._tasks)

    def close(self) -> None:
        """End the threads as they finish; what has not begun is left."""
        with self._lock:
            self._tasks.clear()
            self._size = 0
            for _ in range(self._count):
                self._wake.put(False)

    def _wake_one(self) -> None:
        if self._waking or not self._tasks:
            return
        if self._idle:
            self._waking = True
            self._idle -= 1
            self._wake.put(True)
        elif self._count < self._size:
            self._waking = True
            self._count += 1
            threading.Thread(target=self._work, name=f"{self._name}_{self._count}", daemon=True).start()

    def _work(self) -> None:
        going_on = True
        while going_on:
            with self._lock:
                self._waking = False
            while task := self._take():
                self._do(*task)
            going_on = self._wake.get()

    def _do(self, *task: object) -> None:
        try:
            self._run(*task)
        except Exception:
            logger.exception("a task failed that must not")

    def _take(self) -> tuple[object, ...] | None:
        """The next task; without one the thread counts as idle."""
        with self._lock:
            if self._tasks:
                task = self._tasks.popleft()
                self._wake_one()
                return task
            self._idle += 1
            return None
