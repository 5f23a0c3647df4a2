"""How many requests each queue refused: added up in memory, written down at most once a tick.

By who is refused next, or as the process has answered whatever HTTP request: so those of a caller's own transaction
are written too, and the last of a burst. Not in the refused transaction, which leaves nothing behind; a process that
ends takes what it has not written with it.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import DatabaseError, connection
from django.utils import timezone

from jobs.errors import Refused
from jobs.models_metrics import Rollup

MEASURE = "request.refused"

_lock = threading.Lock()
_counts: Counter[str] = Counter()
_next_write = 0.0


@contextmanager
def counted(queue: str, requests: int) -> Iterator[None]:
    """Count the requests asked for here if they are refused; around the transaction that would have made them."""
    try:
        yield
    except Refused:
        with _lock:
            _counts[queue] += requests
        write()
        raise


def write(**_signal: object) -> None:
    """Write down what was counted, unless that was done a moment ago. A receiver of ``request_finished``."""
    global _next_write
    # In a caller's transaction the row would vanish with the rest.
    if not _counts or connection.in_atomic_block:
        return
    with _lock:
        if time.monotonic() < _next_write:
            return
        _next_write = time.monotonic() + settings.CONFIG.tick_seconds
        taken = Counter(_counts)
        _counts.clear()
    try:
        _insert(taken)
    except DatabaseError:  # no reason to answer otherwise
        with _lock:
            _counts.update(taken)


def _insert(taken: Counter[str]) -> None:
    minute = timezone.now().replace(second=0, microsecond=0)
    Rollup.objects.bulk_create(
        [Rollup(minute=minute, queue=queue, measure=MEASURE, count=n) for queue, n in taken.items()]
    )
