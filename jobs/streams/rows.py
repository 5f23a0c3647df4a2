"""A numbered event as streams carry it, and the three questions that streams ask the database."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from jobs.lookup import one
from jobs.models import Scope
from jobs.models_events import JobEvent


@dataclass(frozen=True, slots=True)
class Row:
    """One event of a scope's stream; ``data`` is for all who see the scope, ``private`` for those who decide."""

    scope_id: int
    seq: int
    event: str
    request: UUID | None
    kind: str
    status: str
    at: datetime
    data: dict[str, Any] | None
    private: dict[str, Any] | None

    def frame(self, *, decider: bool) -> dict[str, Any]:
        """The event as JSON for one viewer; ``hidden`` where he may see nothing, so that his numbers have no gap."""
        if self.data is None and not decider:
            return {"seq": self.seq, "event": "hidden"}
        body: dict[str, Any] = {
            "seq": self.seq,
            "event": self.event,
            "request_id": str(self.request) if self.request else None,
            "kind": self.kind,
            "status": self.status,
            "at": self.at.isoformat().replace("+00:00", "Z"),
            "data": self.data or {},
        }
        return body | {"private": self.private} if decider and self.private is not None else body


COLUMNS = tuple(Row.__slots__)


def read_rows(scope_id: int, cursor: int, limit: int) -> list[Row]:
    """At most ``limit`` events after ``cursor``, in order."""
    after = JobEvent.objects.filter(scope=scope_id, seq__gt=cursor).order_by("seq")
    return [Row(*values) for values in after.values_list(*COLUMNS)[:limit]]


def read_heads(scope_ids: Iterable[int]) -> dict[int, int]:
    """The number of the last event of each scope."""
    return dict(Scope.objects.filter(pk__in=list(scope_ids)).values_list("pk", "head"))


def scope_id(key: str) -> int:
    """The internal number of the scope with this key, whose stream may still be empty."""
    known = one(Scope.objects.filter(key=key).values_list("pk", flat=True))
    return known or Scope.objects.get_or_create(key=key)[0].pk
