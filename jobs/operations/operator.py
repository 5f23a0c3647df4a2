"""Who operates the queue, as the audit log tells of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Model

from accounts import audit


@dataclass(frozen=True, kw_only=True)
class Operator:
    """A person, or with no ``user`` somebody at a terminal; ``via`` says through what they act.

    ``bulk`` is the same for all entries of one action on many jobs.
    """

    user: User | None
    via: str
    bulk: str = ""

    def record(self, action: str, on: Model, **data: Any) -> None:
        """Append to the audit log, in the transaction of the action itself."""
        about = {"via": self.via} | ({"bulk": self.bulk} if self.bulk else {})
        audit.record(action, actor=self.user, on=on, **about, **data)
