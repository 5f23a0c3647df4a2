"""The transport that never leaves its process: for tests, and for a site that is one process.

Whoever commits in this process wakes this process's worker at once. What another process commits is found by asking
the database, within ``poll_seconds`` by the worker and ``follow_seconds`` by those who watch.
"""

from __future__ import annotations

import random
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from threading import Condition
from typing import Any

from channels.layers import get_channel_layer
from django.conf import settings

from jobs.ephemeral import Ephemeral
from jobs.transport import JOB_MESSAGE_TYPE, Push, Ticket, group_name, job_group_name


class MemoryTransport:
    """``jobs.transport.Transport`` on lists of this process; its threads share them."""

    def __init__(self) -> None:
        self._lists: defaultdict[str, deque[Ticket]] = defaultdict(deque)
        self._pushed = Condition()

    def send(self, pushes: Iterable[Push], heads: Mapping[int, int]) -> bool:
        with self._pushed:
            for push in pushes:
                tickets = self._lists[push.queue]
                (tickets.appendleft if push.front else tickets.append)(push.ticket)
            self._pushed.notify_all()
        for scope_id, head in heads.items():
            _publish(group_name(scope_id), {"type": "head", "scope": scope_id, "head": head})
        return True

    def say(self, told: Iterable[tuple[int, Ephemeral]], stirred: Iterable[int] = ()) -> bool:
        for scope_id, each in told:
            _publish(group_name(scope_id), each.message(scope_id))
        for job_id in stirred:
            _publish(job_group_name(job_id), {"type": JOB_MESSAGE_TYPE, "job": job_id})
        return True

    def length(self, queue: str) -> int:
        with self._pushed:
            return len(self._lists[queue])

    def full(self, queue: str) -> bool:
        return self.length(queue) >= settings.CONFIG.ticket_window

    def empty(self, queue: str) -> None:
        with self._pushed:
            self._lists.pop(queue, None)

    def pop(self, queues: Sequence[str], limit: int, timeout_seconds: float) -> list[Ticket]:
        """At most ``limit`` tickets of these queues, from each in turn, waiting for the first."""
        queues = random.sample(queues, len(queues))  # none shall always be last
        with self._pushed:
            self._pushed.wait_for(lambda: any(self._lists[queue] for queue in queues), timeout_seconds)
            popped: list[Ticket] = []
            while len(popped) < limit and (ready := [queue for queue in queues if self._lists[queue]]):
                popped += [self._lists[queue].popleft() for queue in ready[: limit - len(popped)]]
            return popped


def _publish(group: str, message: dict[str, Any]) -> None:
    layer: Any = get_channel_layer()
    layer.publish(group, message)
