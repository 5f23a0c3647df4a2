"""Which queues and workers are told to take no jobs, as workers ask it before every claim: from memory, for a tick."""

from __future__ import annotations

import time

from django.conf import settings

from jobs.models import QueueControl
from jobs.models_operating import ControlKind


class Pauses:
    """What this process knows; as old as ``tick_seconds`` at most."""

    def __init__(self) -> None:
        self._names: dict[str, frozenset[str]] = {}
        self._known_until = 0.0

    def queues(self) -> frozenset[str]:
        """The names of paused queues."""
        return self._of(ControlKind.QUEUE)

    def workers(self) -> frozenset[str]:
        """The names of paused workers, whether they run or not."""
        return self._of(ControlKind.WORKER)

    def forget(self) -> None:
        """Ask the database next time."""
        self._known_until = 0.0

    def _of(self, kind: ControlKind) -> frozenset[str]:
        if time.monotonic() >= self._known_until:
            rows = list(QueueControl.objects.filter(paused_at__isnull=False).values_list("kind", "name"))
            self._names = {kind: frozenset(name for of, name in rows if of == kind) for kind in ControlKind}
            self._known_until = time.monotonic() + settings.CONFIG.tick_seconds
        return self._names[kind]


pauses = Pauses()
"""This process's."""
