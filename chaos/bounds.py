"""What bounds the jobs under fire: in proportion to how many are asked for, so that it binds and all can be done."""

from __future__ import annotations

import json
from math import ceil, sqrt

KEYS = {"": 70, "model/a": 15, "model/b": 15}
"""How many requests in a hundred are asked for under each concurrency key."""

BOUND = "assets"
QUEUES = {"player_actions": 90, BOUND: 10}
"""How many in a hundred are put into each queue."""

LANES = 16
HELD_SECONDS = 0.25
"""How long a permit is held, in the mean: mostly a moment, but as long as a lease where a worker was killed."""

CALLED = {"tool": 0.4, "tool/part": 0.38}
"""How many children of these concurrency keys are called by a request, in the mean."""

FEW = 2
"""Permits beyond that: a job that takes long, or whose worker was killed, leaves some to the others."""

CAP_SECONDS = 2.0
"""How many may wait: what is asked for in that time, as before the first worker has started."""

CAP_OF_LANE = 8
RETRY_SECONDS = 0.3
KEPT_SECONDS = 0.5


def limits(jobs_per_second: float) -> dict[str, int]:
    """How many jobs of each concurrency key may be under way, and ``queue:`` how many run in the bounded queue."""
    shares = {key: share / sum(KEYS.values()) for key, share in KEYS.items() if key}
    shares |= {"model": sum(shares.values()), f"queue:{BOUND}": _share_of_queue(), **CALLED}
    return {name: _most(jobs_per_second, share) for name, share in shares.items()}


def _most(jobs_per_second: float, share: float) -> int:
    """Never more than there mostly are when all lanes are busy: that would bound nothing."""
    return min(FEW + ceil(jobs_per_second * share * HELD_SECONDS), ceil(LANES * share))


def environment(jobs_per_second: float) -> dict[str, str]:
    """What says so to all processes, with a rate and caps that are reached now and then."""
    most = limits(jobs_per_second)
    mean = jobs_per_second * _share_of_queue()
    bound = {"concurrency": most.pop(f"queue:{BOUND}"), "rate": f"{ceil(mean + sqrt(mean) / 3)}/second"}
    waiting = ceil(CAP_SECONDS * jobs_per_second)
    cap = {"waiting_per_user": waiting, "waiting_per_scope": CAP_OF_LANE + waiting // LANES}
    return {
        "CONCURRENCY_LIMITS": json.dumps(most),
        "QUEUE_SETTINGS": json.dumps({queue: cap | (bound if queue == BOUND else {}) for queue in QUEUES}),
        "QUEUE_SETTINGS_SECONDS": str(KEPT_SECONDS),
        "REFUSED_RETRY_SECONDS": str(RETRY_SECONDS),
    }


def _share_of_queue() -> float:
    return QUEUES[BOUND] / sum(QUEUES.values())
