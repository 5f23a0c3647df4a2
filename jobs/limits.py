"""Which limits on concurrency hold for a job, by name: ``queue:llm``, or a concurrency key or the beginning of one."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate

from jobs import queue_settings

QUEUE = "queue:"
"""Begins the name of a queue's own limit, and no concurrency key."""


def prefixes(key: str) -> list[str]:
    """The paths that contain this key: ``openai`` and ``openai/gpt-5``."""
    return list(accumulate(key.split("/"), "{}/{}".format)) if key else []


def of_queues(queues: Iterable[str]) -> set[str]:
    """The limits on how many jobs of these queues run at once."""
    return {QUEUE + queue for queue in queues if queue_settings.of(queue).concurrency}


def of_keys(keys: Iterable[str]) -> set[str]:
    """The limits on how many jobs of these concurrency keys are under way."""
    limits = queue_settings.limits()
    return {path for key in keys for path in prefixes(key) if path in limits} if limits else set()


def needed(queue: str, key: str) -> list[str]:
    """The limits that hold for jobs of this queue and key: the queue's first, and a path before the longer ones."""
    limited = queue_settings.limits()
    return [*of_queues([queue]), *(path for path in prefixes(key) if path in limited)]


def most(name: str) -> int | None:
    """How many jobs this limit allows; ``None`` when it is no more."""
    if name.startswith(QUEUE):
        return queue_settings.of(name.removeprefix(QUEUE)).concurrency
    return queue_settings.limits().get(name)


def in_force() -> dict[str, int]:
    """All limits, and how many jobs each allows; mostly none, so that claims need not ask."""
    queues = queue_settings.concurrencies()
    return {**{QUEUE + queue: most for queue, most in queues.items()}, **queue_settings.limits()}
