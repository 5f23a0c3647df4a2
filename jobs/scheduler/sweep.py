"""Tickets that were lost, or never sent because the list was full or Redis away, are sent; those out of order, anew."""

from __future__ import annotations

from django.conf import settings

from jobs.operations import dispatch, permits
from jobs.transport import Ticket, transport


class Sweep:
    """Remembers which queues looked short of tickets, because one look may fall between a pop and its claim.

    On a busy queue two may: only if the first ticket is still the same has nobody got it.
    """

    def __init__(self) -> None:
        self._missed: dict[str, Ticket] = {}

    def __call__(self) -> float:
        """Look at every queue with work once; seconds until the next look."""
        missed: dict[str, Ticket] = {}
        for queue in dispatch.queues_with_work():
            length = transport().length(queue)
            if length is None:
                continue
            first = dispatch.missed(queue, length)
            if first is not None and first == self._missed.get(queue):
                dispatch.clear_marks(queue)
            elif first is not None:
                missed[queue] = first
            if dispatch.disordered(queue):
                dispatch.rebuild(queue)
            else:
                dispatch.refill(queue)
        self._missed = missed
        permits.let_in_all()
        return settings.CONFIG.tick_seconds
