"""How long jobs waited, ran and took altogether: added up in memory, written down once a minute.

Each flush inserts rows of its own, so workers never wait for each other's.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime

from django.conf import settings
from django.utils import timezone

from jobs.models_metrics import Rollup

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 3600.0)
"""The upper bounds of the histograms' buckets, in seconds; one more bucket has none."""

QUEUE_TIME = "queue"
RUN_TIME = "run"
TOTAL_TIME = "total"
SERVICE_TIME = "service"


@dataclass
class Times:
    """Some durations, added up."""

    count: int = 0
    seconds: float = 0.0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))

    def add(self, seconds: float) -> None:
        """One more duration; clocks of two machines may make it negative, which counts as none."""
        seconds = max(seconds, 0.0)
        self.add_all(1, seconds, bucket=bisect_left(BOUNDS, seconds))

    def add_all(self, count: int, seconds: float, *, bucket: int) -> None:
        """So many durations that are in one bucket, with their sum."""
        self.count += count
        self.seconds += seconds
        self.buckets[bucket] += count

    def row(self, minute: datetime, queue: str, measure: str) -> Rollup:
        """These durations as a row."""
        return Rollup(
            minute=minute,
            queue=queue,
            measure=measure,
            count=self.count,
            seconds=self.seconds,
            buckets=self.buckets,
        )


class Measures:
    """A process's durations since its last flush. Any thread may add, one flushes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._times: defaultdict[tuple[str, str], Times] = defaultdict(Times)
        self._next_flush = time.monotonic() + settings.CONFIG.rollup_seconds

    def add(self, queue: str, measure: str, seconds: float) -> None:
        """Note one duration."""
        with self._lock:
            self._times[queue, measure].add(seconds)

    def flush_if_due(self) -> None:
        """``flush`` every ``rollup_seconds``."""
        if time.monotonic() >= self._next_flush:
            self._next_flush = time.monotonic() + settings.CONFIG.rollup_seconds
            self.flush()

    def flush(self) -> None:
        """Write everything down. What a database error keeps from being written is lost: metrics, not the record."""
        with self._lock:
            taken, self._times = self._times, defaultdict(Times)
        minute = timezone.now().replace(second=0, microsecond=0)
        Rollup.objects.bulk_create([times.row(minute, *key) for key, times in taken.items()])


def added(one: list[int], other: list[int]) -> list[int]:
    """Two rows' buckets together; a row that only counts has none."""
    return [a + b for a, b in zip(one, other, strict=True)] if one and other else one or other
