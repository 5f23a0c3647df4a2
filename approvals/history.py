"""Which past decisions someone looks for."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from django.http import QueryDict
from django.utils.http import urlencode

from approvals.models import ApprovalQuerySet
from approvals.states import Kind

SYSTEM = "system"


@dataclass(frozen=True)
class Filters:
    """What was chosen; empty for all. ``person`` is a user's name, or ``system``."""

    game: str = ""
    decision: str = ""
    person: str = ""

    @classmethod
    def read(cls, query: QueryDict) -> Filters:
        return cls(*(query.get(name, "").replace("\0", "").strip() for name in ("game", "decision", "person")))

    def apply(self, approvals: ApprovalQuerySet) -> ApprovalQuerySet:
        """Those that fit."""
        if self.game:
            approvals = approvals.filter(scope__key=self.game)
        if self.decision:
            approvals = approvals.filter(decision=self.decision)
        if self.person == SYSTEM:
            approvals = approvals.filter(decision_kind__in=(Kind.EXPIRE, Kind.AUTO))
        elif self.person:
            approvals = approvals.filter(decided_by__username=self.person)
        return approvals

    def query(self, cursor: str | None) -> str:
        """The query string of the page at this cursor; empty without one."""
        return urlencode({**asdict(self), "cursor": cursor}) if cursor else ""
