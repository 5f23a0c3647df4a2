"""How long a failed job waits for its next attempt."""

from __future__ import annotations

import random

from django.conf import settings


def delay_seconds(attempt: int, rng: random.Random | None = None) -> float:
    """Exponential from ``backoff_seconds``, capped, with up to half of it taken off at random.

    The jitter keeps jobs that failed together from coming back together ("equal jitter", AWS Architecture Blog,
    Exponential Backoff And Jitter). ``attempt`` counts from 1.
    """
    config = settings.CONFIG
    whole = min(config.backoff_cap_seconds, config.backoff_seconds * 2.0 ** min(attempt - 1, 30))
    return whole * (1 - (rng or random).random() / 2)
