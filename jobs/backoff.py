"""How long a failed job waits for its next attempt."""

from __future__ import annotations

import random
from collections.abc import Sequence

from django.conf import settings


def delay_seconds(attempt: int, delays: Sequence[float] | None = None, rng: random.Random | None = None) -> float:
    """How long to wait after this many attempts: the listed seconds, of which the last repeat, else exponential.

    Exponential is from ``backoff_seconds``, doubling, capped, with up to half of it taken off at random, which keeps
    jobs that failed together from coming back together ("equal jitter", AWS Architecture Blog, Exponential Backoff
    And Jitter). ``attempt`` counts from 1.
    """
    if delays:
        return delays[min(attempt, len(delays)) - 1]
    config = settings.CONFIG
    whole = min(config.backoff_cap_seconds, config.backoff_seconds * 2.0 ** min(attempt - 1, 30))
    return whole * (1 - (rng or random).random() / 2)
