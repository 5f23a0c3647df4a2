"""Where a worker hears what it may claim."""

from __future__ import annotations

from typing import Protocol

from jobs.memory_transport import MemoryTransport
from jobs.transport import Ticket, transport
from jobs.worker.memory import MemoryLine
from jobs.worker.rq import RegisteredWorker


class Line(Protocol):
    """A worker's end of the transport. ``suspended``: somebody told all workers to take nothing."""

    suspended: bool

    def pop(self, limit: int, *, wait: bool) -> list[Ticket] | None:
        """At most ``limit`` tickets; waits ``poll_seconds`` for one if wished. ``None`` if nothing can be heard."""

    def tell(self) -> None:
        """Say that this worker is there; called with each of its beats."""

    def leave(self) -> None:
        """Say that it is leaving."""


def line(queues: list[str], *, name: str) -> Line:
    """A worker's end of this process's transport."""
    carrier = transport()
    if isinstance(carrier, MemoryTransport):
        return MemoryLine(carrier, queues)
    return RegisteredWorker(queues, name=name)
