"""Incidents: opened and told of once, closed when their cause has passed."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable

from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.utils import timezone

from jobs.alerts import Finding, ways
from jobs.jobtypes import ALERT, AlertMessage
from jobs.models_metrics import Incident
from jobs.operations.enqueue import enqueue_many

logger = logging.getLogger(__name__)


def open_(*, findings: Iterable[Finding]) -> list[Incident]:
    """An incident for each finding that has none; those that are new. However many processes find it, one tells."""
    known = _known()
    new = [finding for finding in findings if (finding.alert, finding.subject) not in known]
    return [incident for finding in new if (incident := _opened(finding))]


def _known() -> set[tuple[str, str]]:
    return set(Incident.objects.filter(closed_at=None).values_list("alert", "subject"))


def _opened(finding: Finding) -> Incident | None:
    try:
        with transaction.atomic():
            incident = Incident.objects.create(
                alert=finding.alert, subject=finding.subject, detail=finding.detail, opened_at=timezone.now()
            )
            # A job each: what goes wrong by one way keeps nobody from being told by the other.
            enqueue_many(ALERT, [_message(incident, way) for way in ways()])
    except IntegrityError:
        return None  # another process found it in the same moment
    logger.error("alert %s: %s", incident, incident.detail)
    return incident


def _message(incident: Incident, way: str) -> AlertMessage:
    return AlertMessage(
        incident=incident.pk,
        alert=incident.alert,
        subject=incident.subject,
        detail=incident.detail,
        opened_at=incident.opened_at.isoformat().replace("+00:00", "Z"),
        way=way,
    )


def close(*, alerts: Collection[str], but: Iterable[Finding]) -> int:
    """Close what is open of these alerts, except what is still found; how many."""
    still = {(finding.alert, finding.subject) for finding in but}
    passed = [
        incident
        for incident in Incident.objects.filter(closed_at=None, alert__in=alerts)
        if (incident.alert, incident.subject) not in still
    ]
    for incident in passed:
        logger.warning("alert %s has passed", incident)
    return Incident.objects.filter(pk__in=[incident.pk for incident in passed], closed_at=None).update(closed_at=Now())
