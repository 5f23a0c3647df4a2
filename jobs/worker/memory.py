"""A worker that hears of work in its own process only."""

from __future__ import annotations

from django.conf import settings

from jobs.memory_transport import MemoryTransport
from jobs.transport import Ticket


class MemoryLine:
    """``jobs.worker.line.Line`` for the transport that never leaves the process. Nobody else can suspend it."""

    suspended = False

    def __init__(self, transport: MemoryTransport, queues: list[str]) -> None:
        self._transport = transport
        self._queues = queues

    def pop(self, limit: int, *, wait: bool) -> list[Ticket]:
        return self._transport.pop(self._queues, limit, settings.CONFIG.poll_seconds if wait else 0.0)

    def tell(self) -> None:
        """Its row in the database says that it is there."""

    def leave(self) -> None:
        """Its row in the database says that it is gone."""
