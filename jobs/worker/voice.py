"""Publishing what handlers stream, on a thread of its own: Redis may be slow, and the event loop must not wait."""

from __future__ import annotations

import logging
import threading
import time

from django.conf import settings

from jobs.context import JobContext

logger = logging.getLogger(__name__)


class Voice:
    """Lets contexts tell what their handlers wrote, joined: each at most once in ``chunk_seconds``."""

    def __init__(self) -> None:
        self._speaking: set[JobContext] = set()
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._closed = False
        threading.Thread(target=self._run, name="voice", daemon=True).start()

    def speak(self, context: JobContext) -> None:
        """This context has something to say."""
        with self._lock:
            self._speaking.add(context)
        self._news.set()

    def close(self) -> None:
        """End the thread once it has told what there is."""
        self._closed = True
        self._news.set()

    def _run(self) -> None:
        while not self._closed:
            self._news.wait()
            self._news.clear()
            try:
                self._say_all()
            except Exception:
                logger.exception("what handlers wrote could not be told")
            time.sleep(settings.CONFIG.chunk_seconds)

    def _say_all(self) -> None:
        with self._lock:
            speaking, self._speaking = self._speaking, set()
        for context in speaking:
            context.tell()
