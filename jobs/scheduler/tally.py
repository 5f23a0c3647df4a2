"""Counts what happened to jobs: their events, minute by minute, added up once they are old.

Counted from the record and not by those who act, so that nothing is left out wherever it happened, and jobs that are
pruned stay counted.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import cache

from django.conf import settings
from django.db import connection, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from jobs import sql
from jobs.measures import BOUNDS, SERVICE_TIME, TOTAL_TIME, Times, added
from jobs.models_events import JobEvent
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
    """What happened, and how long jobs that came to a result took: grouped by the database, added up here.

    Not by a plan that a connection keeps, which would be one for any range, but planned for this one.
    """
    counts: Counter[tuple[datetime, str, str]] = Counter()
    times: defaultdict[tuple[datetime, str, str], Times] = defaultdict(Times)
    with connection.cursor() as found:
        found.execute(_groups(), {"cursor": cursor, "top": top})
        groups = found.fetchall()
    for since_1970, queue, event, result, in_total, in_service, count, total, service in groups:
        minute = datetime.fromtimestamp(since_1970 * 60, UTC)
        counts[minute, queue, event] += count
        if result:
            times[minute, queue, TOTAL_TIME].add_all(count, total, bucket=in_total)
            times[minute, queue, SERVICE_TIME].add_all(count, service, bucket=in_service)
    rows = [Rollup(minute=key[0], queue=key[1], measure=key[2], count=count) for key, count in counts.items()]
    return rows + [added_up.row(*key) for key, added_up in times.items()]


_OF_JOB = "queue, parent_id, created_at, started_at"


@cache
def _groups() -> str:
    """Told of every job that there is: as rows, each would cost about as much here as its end costs a worker."""
    total, service = sql.seconds("e.at", "j.created_at"), sql.seconds("e.at", "COALESCE(j.started_at, j.created_at)")
    return f"""
        WITH told AS MATERIALIZED (
            SELECT {sql.minute("e.at")} AS minute, j.queue, e.event, {total} AS total, {service} AS service,
                e.event = 'job.completed' AND j.parent_id IS NULL AS result
            FROM jobs_jobevent e {sql.join_one("jobs_job", "j", "e.job_id", _OF_JOB)}
            WHERE e.id > %(cursor)s AND e.id <= %(top)s AND e.event {sql.one_of(COUNTED)}
        )
        SELECT minute, queue, event, result, {_bucket("total")}, {_bucket("service")},
            count(*), sum(total), sum(service)
        FROM told GROUP BY 1, 2, 3, 4, 5, 6"""


def _bucket(column: str) -> str:
    within = " ".join(f"WHEN {column} <= {bound} THEN {n}" for n, bound in enumerate(BOUNDS))
    return f"CASE {within} ELSE {len(BOUNDS)} END"


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
