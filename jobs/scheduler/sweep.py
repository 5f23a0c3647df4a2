"""Tickets that were lost, or never sent because the list was full or Redis away, are sent; those out of order, anew."""

from __future__ import annotations

from django.conf import settings

from jobs.operations import dispatch, permits
from jobs.transport import transport


class Sweep:
    """Remembers which queues looked short of tickets, because one look may fall between a pop and its claim."""

    def __init__(self) -> None:
        self._short: set[str] = set()

    def __call__(self) -> float:
        """Look at every queue with work once; seconds until the next look."""
        short: set[str] = set()
        for queue in dispatch.queues_with_work():
            length = transport().length(queue)
            if length is None:
                continue
            if dispatch.more_marked_than(queue, length):
                short.add(queue)
            if queue in self._short & short:
                dispatch.clear_marks(queue)
                short.discard(queue)
            if dispatch.disordered(queue):
                dispatch.rebuild(queue)
            else:
                dispatch.refill(queue)
        self._short = short
        permits.let_in_all()
        return settings.CONFIG.tick_seconds
