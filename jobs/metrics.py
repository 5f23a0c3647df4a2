"""The queue in numbers, for Prometheus. Read from the record, so any web process tells of all, but for connections.

Totals never fall: what is pruned stays counted (``jobs.models_metrics.Rollup``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

from django.conf import settings
from django.db import connection
from django.db.models import Count, Sum
from django.db.models.functions import Now
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry
from prometheus_client.utils import floatToGoString

from jobs import refusals
from jobs.kept import Kept
from jobs.measures import BOUNDS, QUEUE_TIME, RUN_TIME, SERVICE_TIME, TOTAL_TIME, added
from jobs.models import Job, Leadership, Worker
from jobs.models_metrics import Incident, Rollup
from jobs.overview import overview
from jobs.sql import on_postgresql
from jobs.states import Status
from jobs.streams.opened import opened

PREFIX = "queueproject"

GAUGES = {
    "depth": "Jobs that may run and wait for a worker; for dm_approvals, drafts that wait for a person.",
    "oldest_seconds": "How long the first of them has waited; 0 when nobody waits.",
    "running": "Jobs that workers hold; for dm_approvals, drafts that people have claimed.",
    "delayed": "Jobs that are not to run before their time: delays, backoff, schedules.",
    "workers": "Live workers that listen to the queue; for dm_approvals, people who hold a claim.",
    "slots": "Slots of those workers; one that listens to several queues counts for each.",
    "paused": "1 while the queue is paused.",
}
OUTCOMES = ("completed", "dead", "cancelled", "expired")
DECISIONS = ("decided", "expired")
TIMES = {
    QUEUE_TIME: "From when a job could run to its claim, each time it was claimed.",
    RUN_TIME: "From a claim to its end, the next wait or the next attempt.",
    TOTAL_TIME: "From a request's enqueuing to its completion, with all waits.",
    SERVICE_TIME: "From when a worker began with a request to its completion, with all waits.",
}


class Sums(NamedTuple):
    """The rows of one queue and measure, added up."""

    number: int
    seconds: float
    buckets: list[int]


@dataclass(frozen=True)
class Totals:
    """What ``overview`` does not have, at one moment."""

    sums: dict[tuple[str, str], Sums]
    workers: int
    slots: int
    lost_slots: int
    running: int
    leaders: int
    incidents: dict[str, int]
    connections: int | None


def _read_totals() -> Totals:
    live = Worker.objects.filter(ended_at=None, lease_until__gt=Now())
    seen = live.aggregate(workers=Count("pk"), slots=Sum("slots"), lost=Sum("lost_slots"))
    return Totals(
        sums=_sums(),
        workers=seen["workers"],
        slots=seen["slots"] or 0,
        lost_slots=seen["lost"] or 0,
        running=Job.objects.filter(status=Status.RUNNING).count(),
        leaders=Leadership.objects.filter(lease_until__gt=Now()).exclude(holder="").count(),
        incidents=dict(Incident.objects.filter(closed_at=None).values_list("alert").annotate(n=Count("pk"))),
        connections=_connections(),
    )


def _sums() -> dict[tuple[str, str], Sums]:
    """All rows in one statement, so that none is seen both by the minute and in the sum of the older ones."""
    found: defaultdict[tuple[str, str], Sums] = defaultdict(lambda: Sums(0, 0.0, []))
    rows = Rollup.objects.values_list("queue", "measure", "count", "seconds", "buckets")
    for queue, measure, count, seconds, buckets in rows.iterator():
        so_far = found[queue, measure]
        found[queue, measure] = Sums(so_far.number + count, so_far.seconds + seconds, added(so_far.buckets, buckets))
    return dict(found)


def _connections() -> int | None:
    """Connections to the database from all processes; SQLite has none to count."""
    if not on_postgresql():
        return None
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
        row: tuple[int] = cursor.fetchone()
        return row[0]


totals: Kept[Totals] = Kept(_read_totals, lambda: settings.CONFIG.status_cache_seconds)
"""This process's."""


class QueueCollector(Collector):
    """Reads the record when it is asked, at most every ``status_cache_seconds``."""

    def collect(self) -> Iterator[Metric]:
        yield from _queues()
        found = totals.read()
        yield _outcomes(found)
        yield _counter(found, "job_retries", "Attempts that failed and were followed by another.", "job.retried")
        yield _counter(found, "job_lease_losses", "Jobs taken back from workers that were gone.", "job.rescued")
        yield _counter(found, "requests_refused", "Requests refused by a rate or a cap.", refusals.MEASURE)
        yield _decisions(found)
        for measure, meaning in TIMES.items():
            yield _histogram(found, measure, meaning)
        yield from _processes(found)
        yield _connected()


def _queues() -> Iterator[Metric]:
    for name, meaning in GAUGES.items():
        gauge = GaugeMetricFamily(f"{PREFIX}_queue_{name}", meaning, labels=["queue"])
        for queue in overview.read().queues:
            gauge.add_metric([queue.name], float(getattr(queue, name) or 0))
        yield gauge


def _outcomes(found: Totals) -> Metric:
    counter = CounterMetricFamily(f"{PREFIX}_jobs_ended", "Jobs by how they ended.", labels=["queue", "outcome"])
    for (queue, measure), sums in sorted(found.sums.items()):
        if (outcome := measure.removeprefix("job.")) in OUTCOMES:
            counter.add_metric([queue, outcome], sums.number)
    return counter


def _counter(found: Totals, name: str, meaning: str, event: str) -> Metric:
    counter = CounterMetricFamily(f"{PREFIX}_{name}", meaning, labels=["queue"])
    for (queue, measure), sums in sorted(found.sums.items()):
        if measure == event:
            counter.add_metric([queue], sums.number)
    return counter


def _decisions(found: Totals) -> Metric:
    counter = CounterMetricFamily(f"{PREFIX}_decisions", "Drafts by what came of asking people.", labels=["outcome"])
    for outcome in DECISIONS:
        count = sum(sums.number for (_, measure), sums in found.sums.items() if measure == f"approval.{outcome}")
        counter.add_metric([outcome], count)
    return counter


def _histogram(found: Totals, measure: str, meaning: str) -> Metric:
    histogram = HistogramMetricFamily(f"{PREFIX}_job_{measure}_seconds", meaning, labels=["queue"])
    bounds = [*map(floatToGoString, BOUNDS), "+Inf"]
    for (queue, of), sums in sorted(found.sums.items()):
        if of == measure:
            buckets = list(zip(bounds, map(float, accumulate(sums.buckets)), strict=True))
            histogram.add_metric([queue], buckets, sums.seconds)
    return histogram


def _processes(found: Totals) -> Iterator[Metric]:
    yield GaugeMetricFamily(f"{PREFIX}_workers", "Live worker processes.", found.workers)
    yield GaugeMetricFamily(f"{PREFIX}_slots", "Their slots.", found.slots)
    yield GaugeMetricFamily(f"{PREFIX}_slots_busy", "Slots in which a job runs.", found.running)
    yield GaugeMetricFamily(f"{PREFIX}_slots_lost", "Slots held by threads that did not stop.", found.lost_slots)
    yield GaugeMetricFamily(f"{PREFIX}_scheduler_leads", "1 while a scheduler leads.", found.leaders)
    if found.connections is not None:
        meaning = "Connections to the database, from everywhere."
        yield GaugeMetricFamily(f"{PREFIX}_database_connections", meaning, found.connections)
    incidents = GaugeMetricFamily(f"{PREFIX}_incidents_open", "Incidents that have not passed.", labels=["alert"])
    for alert, count in sorted(found.incidents.items()):
        incidents.add_metric([alert], count)
    yield incidents


def _connected() -> Metric:
    meaning = "Open event streams and sockets of the web process that answers."
    gauge = GaugeMetricFamily(f"{PREFIX}_web_connections", meaning, labels=["kind"])
    for kind, number in opened.items():
        gauge.add_metric([kind], number)
    return gauge


REGISTRY = CollectorRegistry(auto_describe=False)
REGISTRY.register(QueueCollector())
