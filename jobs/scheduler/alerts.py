"""Looks for what calls for an alert. Nothing here waits for the network: telling is a job."""

from __future__ import annotations

from django.conf import settings

from jobs import alerts
from jobs.operations import incidents
from jobs.overview import look


class Alerts:
    """Opens incidents and closes those that have passed. Running here means leading: ``no_leader`` has passed too."""

    def __init__(self) -> None:
        self._lasting = alerts.Lasting()

    def __call__(self) -> float:
        """Look once; seconds until the next look."""
        findings = alerts.of_queues(look())
        incidents.open_(findings=self._lasting.of(findings))
        incidents.close(alerts=alerts.ALERTS, but=findings)
        return settings.CONFIG.alert_seconds
