"""Publishing what handlers stream, on a thread of its own: Redis may be slow, and the event loop must not wait."""

from __future__ import annotations

import logging
import threading
import time

from django.conf import settings

from jobs.context import JobContext
from jobs.transport import transport

logger = logging.getLogger(__name__)


class Voice:
    """Says what handlers add to their chunks, joined: at most one chunk of each in ``chunk_seconds``."""

    def __init__(self) -> None:
        self._speaking: set[JobContext] = set()
        self._lock = threading.Lock()
        self._news = threading.Event()
        threading.Thread(target=self._run, name="voice", daemon=True).start()

    def speak(self, context: JobContext) -> None:
        """This context has something to say."""
        with self._lock:
            self._speaking.add(context)
        self._news.set()

    def _run(self) -> None:
        while True:
            self._news.wait()
            self._news.clear()
            try:
                self._say_all()
            except Exception:
                logger.exception("chunks could not be told")
            time.sleep(settings.CONFIG.chunk_seconds)

    def _say_all(self) -> None:
        with self._lock:
            speaking, self._speaking = self._speaking, set()
        for context in speaking:
            if (scope_id := context.job.scope_id) is not None and (told := context.chunks.take()):
                transport().say(scope_id, told)
