"""When a request will be done: between two moments, or not at all.

Told from how long requests of its queue took lately, and only where that says something: behind a person's decision,
after too few requests, or past what nearly all of them took, there is no answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import accumulate
from typing import TypedDict

from django.conf import settings
from django.utils import timezone

from jobs.kept import Kept
from jobs.measures import BOUNDS, SERVICE_TIME, added
from jobs.models import Job
from jobs.models_metrics import Rollup
from jobs.states import RequestStatus, Status

LEAST_REQUESTS = 20
QUICK, SLOW = 0.1, 0.9
"""Of ten requests one is quicker and one slower than what is told."""


class Eta(TypedDict):
    """Likely not before the one and not after the other."""

    earliest_at: datetime
    latest_at: datetime


def eta(job: Job, ahead: int | None, head: Job | None) -> Eta | None:
    """The range for a request with so many before it in its lane, the first of which is ``head``."""
    if job.ended or any(map(_waits_for_something_else, filter(None, (job, head)))):
        return None
    if job.lane_id is None and job.started_at is None:
        return None  # Without a line to stand in, how long it waits depends on everybody.
    found = service_times.read().get(job.queue)
    if found is None:
        return None
    begun, now = (head or job).started_at, timezone.now()
    passed = (now - begun).total_seconds() if begun else 0.0
    quick, slow = found
    if passed > slow:
        return None
    behind = ahead or 0
    earliest = max(quick - passed, 0.0) + behind * quick
    latest = slow - passed + behind * slow
    return Eta(earliest_at=now + timedelta(seconds=earliest), latest_at=now + timedelta(seconds=latest))


def _waits_for_something_else(job: Job) -> bool:
    """For a person, or for its time."""
    return job.status == Status.SCHEDULED or job.request_status == RequestStatus.AWAITING_APPROVAL


def _read() -> dict[str, tuple[float, float]]:
    """How long the quick and the slow requests of each queue took, of those that are still kept by the minute."""
    found: dict[str, list[int]] = {}
    rows = Rollup.objects.filter(minute__isnull=False, measure=SERVICE_TIME).values_list("queue", "buckets")
    for queue, buckets in rows.iterator():
        found[queue] = added(found.get(queue, []), buckets)
    return {queue: times for queue, buckets in found.items() if (times := quick_and_slow(buckets))}


def quick_and_slow(buckets: Sequence[int]) -> tuple[float, float] | None:
    """The bounds that hold most of these durations; ``None`` for too few, or where they have no bound."""
    so_far = list(accumulate(buckets))
    total = so_far[-1] if so_far else 0
    if total < LEAST_REQUESTS:
        return None
    first = next(index for index, count in enumerate(so_far) if count > QUICK * total)
    last = next(index for index, count in enumerate(so_far) if count >= SLOW * total)
    if last == len(BOUNDS):
        return None
    return BOUNDS[first - 1] if first else 0.0, BOUNDS[last]


service_times: Kept[dict[str, tuple[float, float]]] = Kept(_read, lambda: settings.CONFIG.status_cache_seconds)
"""This process's."""
