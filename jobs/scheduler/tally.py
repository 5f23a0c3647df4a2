"""Counts what happened to jobs: their events, minute by minute, added up once they are old.

Counted from the record and not by those who act, so that nothing is left out wherever it happened, and jobs that are
pruned stay counted.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from jobs.measures import SERVICE_TIME, TOTAL_TIME, Times, added
from jobs.models import JobEvent
from jobs.models_metrics import Rollup, Tally

COUNTED = (
    "job.completed",
    "job.dead",
    "job.cancelled",
    "job.expired",
    "job.retried",
    "job.rescued",
    "approval.decided",
    "approval.expired",
)
BATCH = 5000
SETTLED_SECONDS = 5
"""Events get their numbers before they are committed. None this old has an open neighbour any more (transactions here
take milliseconds), so none with a lower number appears behind the cursor."""

Key = tuple[datetime | None, str, str]
"""A row's minute, queue and measure."""


def run_tally() -> float:
    """Count one batch; seconds until the next look."""
    if not _settled().filter(pk__gt=_cursor()).exists():
        return settings.CONFIG.status_cache_seconds
    with transaction.atomic():
        tally = Tally.objects.select_for_update().get_or_create(name="events")[0]
        newest = _settled().order_by("-pk").values_list("pk", flat=True).first() or 0
        top = min(newest, tally.cursor + BATCH)
        if top > tally.cursor:
            rows = _counted(tally.cursor, top)
            minutes = {row.minute for row in rows}
            _add(rows, Rollup.objects.filter(minute__in=minutes, measure__in=[*COUNTED, TOTAL_TIME, SERVICE_TIME]))
            Tally.objects.filter(pk=tally.pk).update(cursor=top)
    return 0.0 if top < newest else settings.CONFIG.status_cache_seconds


def _cursor() -> int:
    return Tally.objects.filter(name="events").values_list("cursor", flat=True).first() or 0


def _settled() -> QuerySet[JobEvent]:
    return JobEvent.objects.filter(at__lt=Now() - timedelta(seconds=SETTLED_SECONDS))


def _counted(cursor: int, top: int) -> list[Rollup]:
    counts: Counter[tuple[datetime, str, str]] = Counter()
    times: defaultdict[tuple[datetime, str, str], Times] = defaultdict(Times)
    events = JobEvent.objects.filter(pk__gt=cursor, pk__lte=top, event__in=COUNTED, job__queue__isnull=False)
    for queue, event, at, asked, begun, parent in events.values_list(
        "job__queue", "event", "at", "job__created_at", "job__started_at", "job__parent"
    ):
        minute = at.replace(second=0, microsecond=0)
        counts[minute, queue, event] += 1
        if event == "job.completed" and parent is None:
            times[minute, queue, TOTAL_TIME].add((at - asked).total_seconds())
            times[minute, queue, SERVICE_TIME].add((at - (begun or asked)).total_seconds())
    rows = [Rollup(minute=key[0], queue=key[1], measure=key[2], count=count) for key, count in counts.items()]
    return rows + [added_up.row(*key) for key, added_up in times.items()]


def run_compact() -> float:
    """Add up one batch of old rows; seconds until the next look. Readers see the rows or their sum, never both."""
    long_ago = Now() - timedelta(seconds=settings.CONFIG.rollup_keep_seconds)
    if not Rollup.objects.filter(minute__lt=long_ago).exists():
        return settings.CONFIG.rollup_seconds
    with transaction.atomic():
        Tally.objects.select_for_update().get_or_create(name="compact")
        old = list(Rollup.objects.filter(minute__lt=long_ago).order_by("pk")[:BATCH])
        Rollup.objects.filter(pk__in=[row.pk for row in old]).delete()
        for row in old:
            row.pk, row.minute = None, None
        _add(old, Rollup.objects.filter(minute=None))
    return 0.0 if len(old) == BATCH else settings.CONFIG.rollup_seconds


def _add(rows: Iterable[Rollup], among: QuerySet[Rollup]) -> None:
    """Add these to the rows ``among`` which they have a minute, queue and measure in common with, or as new ones."""
    sums = {_key(row): row for row in among}
    changed: dict[Key, Rollup] = {}
    for row in rows:
        base = changed[_key(row)] = sums.setdefault(_key(row), row)
        if base is not row:
            base.count += row.count
            base.seconds += row.seconds
            base.buckets = added(base.buckets, row.buckets)
    Rollup.objects.bulk_create([row for row in changed.values() if row.pk is None])
    Rollup.objects.bulk_update([row for row in changed.values() if row.pk], ["count", "seconds", "buckets"])


def _key(row: Rollup) -> Key:
    return row.minute, row.queue, row.measure
