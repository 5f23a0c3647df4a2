"""The submit-to-start workload: how long after the call does the handler's first line run, nothing else going on?"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from typing import Any

from bench.measures import Measure, latencies

COUNT = 200
UNCOUNTED = 20
PAUSE_SECONDS = (0.03, 0.06)
"""Long enough for every system measured to be idle again."""


def enqueue_slowly(enqueue: Callable[[], object]) -> None:
    """One job after another, with pauses."""
    for _ in range(UNCOUNTED + COUNT):
        time.sleep(random.uniform(*PAUSE_SECONDS))
        enqueue()


def start_latencies(nanoseconds: Iterable[Any]) -> list[Measure]:
    """From what all the handlers stamped, in the order of their enqueuing."""
    return latencies("submit to start", [stamp / 1e9 for stamp in list(nanoseconds)[UNCOUNTED:]])
