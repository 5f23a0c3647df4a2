"""Publishing what handlers stream, on a thread of its own: Redis may be slow, and the event loop must not wait."""

from __future__ import annotations

import logging
import threading

from django.conf import settings

from jobs.context import JobContext
from jobs.transport import transport

logger = logging.getLogger(__name__)


class Voice:
    """Tells what handlers wrote, joined: of each at most once in ``chunk_seconds``, of all in one trip to Redis.

    The last of a text is not kept waiting, or what comes of the job would overtake it.
    """

    def __init__(self) -> None:
        self._speaking: set[JobContext] = set()
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._pressing = threading.Event()
        self._closed = False
        threading.Thread(target=self._run, name="voice", daemon=True).start()

    def speak(self, context: JobContext, *, at_once: bool = False) -> None:
        """This context has something to say; ``at_once`` if that is the last."""
        with self._lock:
            self._speaking.add(context)
        if at_once:
            self._pressing.set()
        self._news.set()

    def close(self) -> None:
        """End the thread once it has told what there is."""
        self._closed = True
        self._pressing.set()
        self._news.set()

    def _run(self) -> None:
        while not self._closed:
            self._news.wait()
            self._news.clear()
            self._pressing.clear()
            try:
                self._say_all()
            except Exception:
                logger.exception("what handlers wrote could not be told")
            self._pressing.wait(settings.CONFIG.chunk_seconds)

    def _say_all(self) -> None:
        with self._lock:
            speaking, self._speaking = self._speaking, set()
        untold = [context.untold() for context in speaking]
        transport().say([told for news, _ in untold for told in news], [job for _, lines in untold for job in lines])
