"""Workers watch the scheduler: without one nobody else would tell that it is gone."""

from __future__ import annotations

import time

from django.conf import settings

from jobs import alerts
from jobs.operations import incidents


class LeaderWatch:
    """Opens the incident ``no_leader``; the scheduler that leads next closes it."""

    def __init__(self) -> None:
        self._lasting = alerts.Lasting()
        self._next_look = 0.0

    def look(self) -> None:
        """Look, every ``alert_seconds``."""
        if time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + settings.CONFIG.alert_seconds
            incidents.open_(findings=self._lasting.of(alerts.of_leadership()))
