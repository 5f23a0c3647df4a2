"""A mutex that serves its waiters in the order they came."""

from collections import deque
from threading import Lock


class FairMutex:
    """Not reentrant; may be let go by another thread than the one that took it."""

    def __init__(self) -> None:
        self._guard = Lock()
        self._held = False
        self._waiting: deque[Lock] = deque()

    def acquire(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds; False if it was not to be had."""
        with self._guard:
            if not self._held:
                self._held = True
                return True
            turn = Lock()
            turn.acquire()
            self._waiting.append(turn)
        return turn.acquire(timeout=timeout) or not self._gave_up(turn)

    def release(self) -> None:
        """Hand it to whoever waits longest."""
        with self._guard:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._held = False

    def _gave_up(self, turn: Lock) -> bool:
        with self._guard:
            if turn not in self._waiting:  # It was handed over just after the wait ended.
                return False
            self._waiting.remove(turn)
            return True
