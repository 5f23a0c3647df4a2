"""SQLite for threads: those of one process queue for the write lock in turn.

SQLite's own busy handler sleeps in growing steps, so a thread waiting there may be passed over for seconds.
Here a transaction first takes its process's mutex; only other processes are met in the busy handler.
"""

from collections import defaultdict
from typing import Any

from django.db.backends.sqlite3 import base
from django.db.utils import OperationalError

from queueproject.sqlite.mutex import FairMutex

_mutexes: defaultdict[str, FairMutex] = defaultdict(FairMutex)


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's SQLite, with a mutex held from BEGIN to COMMIT, ROLLBACK or close."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._held: FairMutex | None = None

    def _start_transaction_under_autocommit(self) -> None:
        mutex = _mutexes[str(self.settings_dict["NAME"])]
        if not mutex.acquire(self.settings_dict["OPTIONS"]["timeout"]):
            raise OperationalError("database is locked by another thread")
        self._held = mutex
        try:
            super()._start_transaction_under_autocommit()  # type: ignore[misc]
        finally:
            self._let_go()

    def _commit(self) -> None:
        try:
            super()._commit()  # type: ignore[misc]
        finally:
            self._let_go()

    def _rollback(self) -> None:
        try:
            super()._rollback()  # type: ignore[misc]
        finally:
            self._let_go()

    def _close(self) -> None:
        try:
            super()._close()  # type: ignore[misc]
        finally:
            self._let_go(closed=True)

    def _let_go(self, *, closed: bool = False) -> None:
        """Release the mutex unless a transaction is still open, as after a COMMIT that failed."""
        if self._held and (closed or self.connection is None or not self.connection.in_transaction):
            held, self._held = self._held, None
            held.release()
