"""Who may see an approval and who may decide on it: the rules of its scope."""

from __future__ import annotations

from uuid import UUID

from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpRequest

from accounts.permissions import may
from approvals.models import Approval
from jobs import registry
from jobs.errors import Forbidden, NotFound


def approval_rule(user: User, action: str, on: object) -> bool:
    """The answer for ``accounts.permissions``: ``see`` and ``decide``."""
    if not isinstance(on, Approval):
        return False
    rules = registry.scope_rules(on.scope.key)
    match action:
        case "see":
            return rules.may_see(user, on.scope.key)
        case "decide":
            return rules.may_decide(user, on.scope.key)
    return False


def find(user: User | AnonymousUser, approval_id: UUID) -> Approval:
    """The approval, for someone who may decide on it.

    ``NotFound`` for a stranger to its scope, as if it did not exist; ``Forbidden`` for others who may not decide.
    """
    approval = Approval.objects.select_related("scope").filter(pk=approval_id).first()
    if approval is None or not may(user, "see", approval):
        raise NotFound("there is no such approval")
    if not may(user, "decide", approval):
        raise Forbidden("you don't decide here")
    return approval


def caller(request: HttpRequest) -> User:
    """Who is signed in; the view or API has already turned away everyone else."""
    assert isinstance(request.user, User)
    return request.user
