"""The decision queue as a queue like any other: its items are approvals, its workers are people."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Count, F, Min, Q, Sum
from django.db.models.functions import Now
from django.utils import timezone

from approvals.models import Approval
from jobs.models_metrics import Rollup
from jobs.overview import THROUGHPUT_MINUTES
from jobs.registry import QueueStatus

QUEUE = "dm_approvals"


def read() -> QueueStatus:
    """What waits for people, since when the longest, how many of it is claimed and by how many."""
    claimed = Q(claimed_by__isnull=False, claimed_until__gte=Now())
    found = Approval.objects.pending().aggregate(
        depth=Count("pk", distinct=True),
        since=Min("versions__at", filter=Q(versions__number=F("version"))),
        running=Count("pk", distinct=True, filter=claimed),
        people=Count("claimed_by", distinct=True, filter=claimed),
    )
    return QueueStatus(
        name=QUEUE,
        depth=found["depth"],
        oldest_seconds=round((timezone.now() - found["since"]).total_seconds(), 1) if found["since"] else None,
        running=found["running"],
        workers=found["people"],
        slots=0,
        per_minute=_decided_per_minute(),
        people=True,
    )


def _decided_per_minute() -> float:
    since = timezone.now() - timedelta(minutes=THROUGHPUT_MINUTES)
    decided = Rollup.objects.filter(measure="approval.decided", minute__gte=since)
    return round((decided.aggregate(n=Sum("count"))["n"] or 0) / THROUGHPUT_MINUTES, 1)
