"""How each queue stands, asked of the record at most every ``status_cache_seconds`` by a process, whoever wants it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Count, Min, Sum
from django.db.models.functions import Now
from django.utils import timezone

from jobs import registry
from jobs.kept import Kept
from jobs.models import Job, Worker
from jobs.models_metrics import Incident, Rollup
from jobs.pauses import Pauses
from jobs.registry import QueueStatus
from jobs.states import Status

THROUGHPUT_MINUTES = 5
SHOWN_INCIDENTS = 50


@dataclass(frozen=True)
class Overview:
    """All queues at one moment."""

    at: datetime
    queues: tuple[QueueStatus, ...]
    incidents: tuple[Incident, ...]

    def as_json(self) -> dict[str, Any]:
        """As the socket tells of it."""
        return {
            "at": _stamp(self.at),
            "queues": [asdict(queue) for queue in self.queues],
            "alerts": [
                {"alert": row.alert, "subject": row.subject, "detail": row.detail, "since": _stamp(row.opened_at)}
                for row in self.incidents
            ],
        }

    def for_players(self) -> dict[str, Any]:
        """As those who play hear of it: what waits, and how long, but nothing of machines."""
        shown = ("name", "depth", "oldest_seconds", "running", "paused")
        return {"queues": [{name: getattr(queue, name) for name in shown} for queue in self.queues]}


def _stamp(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def look() -> Overview:
    """Every queue as it is now: a fixed number of statements, whatever waits in it."""
    of_people = (read() for _, read in sorted(registry.queues().items()))
    incidents = Incident.objects.filter(closed_at=None).order_by("-pk")[:SHOWN_INCIDENTS]
    return Overview(timezone.now(), (*_of_workers(), *of_people), tuple(incidents))


overview: Kept[Overview] = Kept(look, lambda: settings.CONFIG.status_cache_seconds)
"""This process's."""


def _of_workers() -> Iterator[QueueStatus]:
    now = timezone.now()
    queued = Job.objects.filter(status=Status.QUEUED).values("queue").annotate(n=Count("pk"), since=Min("queued_at"))
    depth = {row["queue"]: (row["n"], (now - row["since"]).total_seconds()) for row in queued}
    delayed, running = _counts(Status.SCHEDULED), _counts(Status.RUNNING)
    workers, slots = _listeners()
    done = _done_per_minute()
    paused = Pauses().queues()
    for name in sorted({*settings.RQ_QUEUES, *depth, *delayed, *running}):
        number, age = depth.get(name, (0, None))
        yield QueueStatus(
            name=name,
            depth=number,
            oldest_seconds=None if age is None else round(max(age, 0.0), 1),
            running=running[name],
            delayed=delayed[name],
            workers=workers[name],
            slots=slots[name],
            per_minute=done.get(name, 0.0),
            paused=name in paused,
        )


def _counts(status: Status) -> Counter[str]:
    rows = Job.objects.filter(status=status).values_list("queue").annotate(n=Count("pk"))
    return Counter(dict(rows))


def _listeners() -> tuple[Counter[str], Counter[str]]:
    """How many live workers serve each queue, and with how many slots that are not lost."""
    workers: Counter[str] = Counter()
    slots: Counter[str] = Counter()
    live = Worker.objects.filter(ended_at=None, lease_until__gt=Now())
    for queues, size, lost in live.values_list("queues", "slots", "lost_slots"):
        workers.update(queues)
        slots.update(dict.fromkeys(queues, max(size - lost, 0)))
    return workers, slots


def _done_per_minute() -> dict[str, float]:
    since = timezone.now() - timedelta(minutes=THROUGHPUT_MINUTES)
    rows = Rollup.objects.filter(measure="job.completed", minute__gte=since)
    sums = rows.values_list("queue").annotate(n=Sum("count"))
    return {queue: round(count / THROUGHPUT_MINUTES, 1) for queue, count in sums}


def ended_lately(seconds: float) -> dict[str, Counter[str]]:
    """By queue, how many jobs ended in which way within this time, by the event that told of it."""
    since = timezone.now() - timedelta(seconds=seconds)
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    ends = Rollup.objects.filter(measure__in=["job.completed", "job.dead"], minute__gte=since)
    for queue, event, count in ends.values_list("queue", "measure").annotate(n=Sum("count")):
        found[queue][event] = count
    return found
