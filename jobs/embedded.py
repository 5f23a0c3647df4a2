"""A worker and a scheduler within this process: for tests, and for a site that is one process.

They are the same that have processes of their own, on threads: claims, tokens, leases, retries and waits are no
different, and whoever enqueues goes on at once. With ``QUEUE_TRANSPORT=memory`` they hear of a job as soon as the
transaction commits that enqueued it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from django.conf import settings

from jobs.scheduler.loop import Scheduler
from jobs.worker.process import Worker

logger = logging.getLogger(__name__)


class Embedded:
    """Runs as long as the block does, or from ``start`` to ``stop``.

    >>> with Embedded(slots=4):
    ...     job = enqueue(REMIND, text="drink water")

    ``ended`` is called, on a thread of ours, if the worker or the scheduler ends without being told to, which ``died``
    remembers: like a process that dies they are not started again.
    """

    def __init__(
        self,
        *,
        slots: int | None = None,
        queues: Sequence[str] = (),
        name: str = "",
        ended: Callable[[], object] = lambda: None,
    ) -> None:
        slots = slots or settings.CONFIG.worker_concurrency
        self._worker = Worker([*(queues or settings.QUEUES)], slots=slots, name=name)
        self._scheduler = Scheduler()
        self.died = False
        self._ended = ended
        self._stopping = False
        runs = {"worker": self._worker.work, "scheduler": self._scheduler.run}
        self._threads = [
            threading.Thread(target=self._run, args=(run,), name=name, daemon=True) for name, run in runs.items()
        ]

    def start(self) -> Self:
        """Start the threads."""
        for thread in self._threads:
            thread.start()
        return self

    def stop(self) -> None:
        """Warm shutdown: what runs may finish within ``shutdown_seconds``, the rest is handed back. Returns then.

        Called again meanwhile, by another thread or a signal, it is cold: everything is handed back now.
        """
        self._stopping = True
        self._scheduler.stop()
        self._worker.stop()
        self.wait()

    def wait(self) -> None:
        """Return once both have ended."""
        for thread in self._threads:
            thread.join()

    def _run(self, run: Callable[[], object]) -> None:
        try:
            run()
        except Exception:
            logger.exception("the %s ended", threading.current_thread().name)
        if not self._stopping:
            self.died = True
            self._ended()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
