"""How many requests each queue refused: added up in memory, written down at most once a tick by who is refused next.

Not in the refused transaction, which leaves nothing behind; a process that ends takes what it has not written with it.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import connection
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
        # In a caller's transaction the row would vanish with the rest: the next refusal writes it.
        if not connection.in_atomic_block:
            write()
        raise


def write() -> None:
    """Write down what was counted, unless that was done a moment ago."""
    global _next_write
    with _lock:
        if not _counts or time.monotonic() < _next_write:
            return
        _next_write = time.monotonic() + settings.CONFIG.tick_seconds
        taken = dict(_counts)
        _counts.clear()
    minute = timezone.now().replace(second=0, microsecond=0)
    Rollup.objects.bulk_create(
        [Rollup(minute=minute, queue=queue, measure=MEASURE, count=n) for queue, n in taken.items()]
    )
