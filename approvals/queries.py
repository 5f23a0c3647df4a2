"""Questions about approvals: pages of them, and what each proposes."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, Never
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import Q

from approvals.drafts import Candidate
from approvals.models import Approval, ApprovalQuerySet, ApprovalVersion
from jobs import registry
from jobs.errors import Invalid
from jobs.models import Scope

MOST = 100
"""The most approvals on a page."""


class Page(NamedTuple):
    """Some approvals, and the cursor of those that follow; ``None`` after the last."""

    items: list[Approval]
    next: str | None


def by_due_time(approvals: ApprovalQuerySet, *, limit: int, cursor: str = "") -> Page:
    """The most urgent first. ``Invalid`` for a cursor that is none of ours."""
    if cursor:
        due_at, last = _parse(cursor)
        approvals = approvals.filter(Q(due_at__gt=due_at) | Q(due_at=due_at, pk__gt=last))
    return _cut(approvals.order_by("due_at", "pk"), limit)


def newest_first(approvals: ApprovalQuerySet, *, limit: int, cursor: str = "") -> Page:
    """The latest first. ``Invalid`` for a cursor that is none of ours."""
    if cursor:
        _, last = _parse(cursor)
        approvals = approvals.filter(pk__lt=last)
    return _cut(approvals.order_by("-pk"), limit)


def drafts_of(approvals: Sequence[Approval]) -> dict[UUID, Candidate]:
    """What the version of each proposes, as these rows have it: never that of a version which came meanwhile."""
    versions = ApprovalVersion.objects.filter(approval__in=[approval.pk for approval in approvals])
    drafts = {(version.approval_id, version.number): version.draft for version in versions}
    return {approval.pk: drafts[approval.pk, approval.version] for approval in approvals}


def game_id(approval: Approval) -> str:
    """The id of the thing whose scope this is in."""
    return approval.scope.key.partition(":")[2]


def _cut(approvals: ApprovalQuerySet, limit: int) -> Page:
    found = list(approvals.select_related("scope", "requester", "decided_by")[: limit + 1])
    items = found[:limit]
    return Page(items, _cursor(items[-1]) if len(found) > limit else None)


def _cursor(approval: Approval) -> str:
    return base64.urlsafe_b64encode(f"{approval.due_at.isoformat()} {approval.pk}".encode()).decode()


def _parse(cursor: str) -> tuple[datetime, UUID]:
    try:
        due_at, _, last = base64.b64decode(cursor, b"-_", validate=True).decode().partition(" ")
        moment, approval_id = datetime.fromisoformat(due_at), UUID(last)
    except ValueError:
        _refuse()
    if moment.tzinfo is None:
        _refuse()
    return moment, approval_id


def _refuse() -> Never:
    raise Invalid("start again without a cursor", fields={"cursor": "is not one that an earlier page gave"})


def decidable_keys(user: User) -> set[str]:
    """The keys of the scopes in which this user decides."""
    return {key for rules in registry.scope_kinds().values() for row in rules.decidable(user) for key in row.values()}


def decidable_scopes(user: User) -> set[int] | None:
    """The ids of the scopes in which this user decides; ``None`` for who decides nowhere.

    A scope has no row before its first request, so the set may be empty for someone who decides.
    """
    keys = decidable_keys(user)
    return set(Scope.objects.filter(key__in=keys).values_list("pk", flat=True)) if keys else None
