"""What the queue knows of this room: the port behind ``ctx.decide``, and two services for the scheduler."""

from __future__ import annotations

from typing import Any

from approvals.models import Approval
from approvals.operations import ask, expire_due, settle_due, withdraw
from jobs.clock import until_due
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
    seconds = until_due(Approval.objects.pending(), "due_at")
    return 0.0 if expire_due(limit=BATCH) == BATCH else seconds


def settle_tick() -> float:
    """Let the jobs go on whose decisions can't be taken back any more."""
    seconds = until_due(Approval.objects.decided(), "settles_at")
    return 0.0 if settle_due(limit=BATCH) == BATCH else seconds
