"""Which limits on concurrency hold for a job, by name: ``queue:llm``, or a concurrency key or the beginning of one."""

from __future__ import annotations

from itertools import accumulate

from jobs import queue_settings
from jobs.models import Job

QUEUE = "queue:"
"""Begins the name of a queue's own limit, and no concurrency key."""


def prefixes(key: str) -> list[str]:
    """The paths that contain this key: ``openai`` and ``openai/gpt-5``."""
    return list(accumulate(key.split("/"), "{}/{}".format)) if key else []


def of_queue(job: Job) -> list[str]:
    """The limit on how many jobs of its queue run at once, if there is one."""
    return [QUEUE + job.queue] if queue_settings.of(job.queue).concurrency else []


def of_key(job: Job) -> list[str]:
    """The limits on how many jobs of its concurrency key are under way."""
    limits = queue_settings.limits()
    return [path for path in prefixes(job.concurrency_key) if path in limits]


def most(name: str) -> int | None:
    """How many jobs this limit allows; ``None`` when it is no more."""
    if name.startswith(QUEUE):
        return queue_settings.of(name.removeprefix(QUEUE)).concurrency
    return queue_settings.limits().get(name)


def in_force() -> bool:
    """Whether anything is limited at all: most sites' claims need not ask."""
    return bool(queue_settings.limits()) or queue_settings.limit_queues()
