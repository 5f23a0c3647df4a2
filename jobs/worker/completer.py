"""The thread that stores what became of jobs, a set at a time."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue

from django.conf import settings
from django.db import Error, connection

from jobs.connections import use_direct_connection
from jobs.operations.leases import CLAIM_BATCH
from jobs.operations.outcomes import Ended, settle_alone, settle_together

logger = logging.getLogger(__name__)


class Completer:
    """Takes whatever ended while its last commit ran and writes it: first what concerns nobody else, then the rest in
    one transaction.

    It lingers, at most ``settle_seconds``, only while jobs that were claimed have not begun: a hundred short ones are
    stored at once, and so a hundred are claimed at once next, where it else would take up those that happened to end
    within one commit. ``more`` tells that.

    A job with a parent gets a transaction of its own, for that one also locks the parent. While the database is away
    nothing is dropped: the same set is tried until it is stored.
    """

    def __init__(self, stored: Callable[[Ended], None], *, more: Callable[[], bool]) -> None:
        self._stored = stored
        self._more = more
        self._ended: SimpleQueue[Ended | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="completer", daemon=True)
        self._thread.start()

    def put(self, ended: Ended) -> None:
        """Hand over one end; called by the slots."""
        self._ended.put(ended)

    @property
    def alive(self) -> bool:
        """Whether anything would be stored."""
        return self._thread.is_alive()

    def close(self, timeout_seconds: float) -> None:
        """Store what is there and end the thread."""
        self._ended.put(None)
        self._thread.join(timeout_seconds)

    def _run(self) -> None:
        use_direct_connection()
        open_ = True
        while open_:
            batch = self._take()
            open_ = None not in batch
            ends = [ended for ended in batch if ended is not None]
            alone = self._store(settle_alone, ends)
            for ended in ends:
                if ended.job_id in alone:
                    self._stored(ended)
            rest = [ended for ended in ends if ended.job_id not in alone]
            together = [ended for ended in rest if ended.parent_id is None]
            for group in [together, *([ended] for ended in rest if ended.parent_id is not None)]:
                held = self._store(settle_together, group)
                for ended in group:
                    if ended.job_id not in held:
                        logger.warning("job %s had been taken from this worker: its end is dropped", ended.job_id)
                    self._stored(ended)
        connection.close()

    def _take(self) -> list[Ended | None]:
        batch = [self._ended.get()]
        until = time.monotonic() + settings.CONFIG.settle_seconds
        with suppress(Empty):
            while len(batch) < CLAIM_BATCH:
                batch.append(self._ended.get(timeout=max(until - time.monotonic(), 0.0) if self._more() else 0.0))
        return batch

    @staticmethod
    def _store(settle: Callable[[Sequence[Ended]], set[int]], group: Sequence[Ended]) -> set[int]:
        """The ids of those that are stored by this, however long the database is away."""
        while True:
            try:
                return settle(group)
            except Error:
                logger.exception("the ends of %s jobs are not stored yet", len(group))
                connection.close()
                time.sleep(settings.CONFIG.poll_seconds)
