"""Nobody but the test decides."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from jobs import registry
from jobs.events.ledger import Ledger
from jobs.models import Job
from jobs.registry import DecisionAsked


class Drafts:
    """Fills ``jobs.registry.DecisionWait`` while a test plays: whatever is asked waits for the test's answer."""

    def __init__(self) -> None:
        self.last: dict[str, Any] | None = None

    def open(self, book: Ledger, asked: DecisionAsked) -> dict[str, Any] | None:
        self.last = asked.draft
        return None

    def withdraw(self, job: Job) -> None:
        """The test knows."""

    @contextmanager
    def asked(self) -> Iterator[None]:
        """Meanwhile decisions are asked for here."""
        before = registry.decisions()
        registry.register_decisions(self)
        try:
            yield
        finally:
            registry.register_decisions(before)
