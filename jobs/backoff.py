"""How long a failed job waits for its next attempt."""

from __future__ import annotations

import random
from collections.abc import Sequence

from django.conf import settings


def delay_seconds(
    attempt: int,
    delays: Sequence[float] | None = None,
    rng: random.Random | None = None,
    *,
    first: float | None = None,
    cap: float | None = None,
) -> float:
    """How long to wait after this many attempts: the listed seconds, of which the last repeat, else exponential.

    Exponential is from ``first`` (``backoff_seconds``), doubling, up to ``cap`` (``backoff_cap_seconds``), with up to
    half of it taken off at random, which keeps jobs that failed together from coming back together ("equal jitter",
    AWS Architecture Blog, Exponential Backoff And Jitter). ``attempt`` counts from 1.
    """
    if delays:
        return delays[min(attempt, len(delays)) - 1]
    first = settings.CONFIG.backoff_seconds if first is None else first
    cap = settings.CONFIG.backoff_cap_seconds if cap is None else cap
    whole = min(cap, first * 2.0 ** min(attempt - 1, 30))
    return whole * (1 - (rng or random).random() / 2)
