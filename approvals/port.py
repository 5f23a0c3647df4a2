"""What the queue knows of this room: the port behind ``ctx.decide``, and two services for the scheduler."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from approvals.operations import ask, expire_due, settle_due, withdraw
from jobs.events.ledger import Ledger
from jobs.models import Job
from jobs.registry import DecisionAsked

BATCH = 100
"""The most approvals in one tick: bounds how long the other services wait."""


class Decisions:
    """Fills ``jobs.registry.DecisionWait``."""

    def open(self, book: Ledger, asked: DecisionAsked) -> dict[str, Any] | None:
        return ask(book, asked)

    def withdraw(self, job: Job) -> None:
        withdraw(job)


def expire_tick() -> float:
    """Take the default outcome where nobody decided in time."""
    return _next(expire_due(limit=BATCH))


def settle_tick() -> float:
    """Let the jobs go on whose decisions can't be taken back any more."""
    return _next(settle_due(limit=BATCH))


def _next(done: int) -> float:
    seconds: float = settings.CONFIG.tick_seconds
    return 0.0 if done == BATCH else seconds
