"""The drain workload: how many no-op jobs a second, from the first one's start to the last one's end."""

from __future__ import annotations

import time
from collections.abc import Callable

from bench.measures import Measure

SINGLY = 500
COUNT = 5000
LANED = 5000
LANES = 500


def rate(workload: str, count: int, do: Callable[[], None]) -> Measure:
    """How many a second ``do`` did of its ``count``."""
    began = time.monotonic()
    do()
    return Measure(workload, count / (time.monotonic() - began), "/s", "higher")
