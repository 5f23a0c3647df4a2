"""What belongs to a user and no game: the scope ``user:<id>``, and the rights that workflows are run with."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import QuerySet

from jobs import registry
from jobs.models import Job, Scope
from jobs.registry import DecisionPolicy
from jobs.workflows import Workflow

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser, AnonymousUser

    Viewer = AbstractBaseUser | AnonymousUser

KIND = "user"


def owner_key(user: Viewer) -> str:
    """The key of the user's own scope."""
    return f"{KIND}:{user.pk}"


class OwnerScope:
    """The queue's questions about ``user:<id>``: all of it is that user's, and nobody else's."""

    def label(self, key: str) -> str:
        """The user's name; the key itself for one who is gone."""
        pk = key.partition(":")[2]
        name = User.objects.filter(pk=pk).values_list("username", flat=True).first() if pk.isdecimal() else None
        return name or key

    def may_see(self, user: Viewer, key: str) -> bool:
        """Whether it is the user's own."""
        return user.is_active and user.pk is not None and key == owner_key(user)

    def may_decide(self, user: Viewer, key: str) -> bool:
        """The same."""
        return self.may_see(user, key)

    def viewers(self, key: str, users: Collection[int]) -> dict[int, bool]:
        """The user themself, who may decide."""
        mine = User.objects.filter(pk__in=[pk for pk in users if key == f"{KIND}:{pk}"], is_active=True)
        return dict.fromkeys(mine.values_list("pk", flat=True), True)

    def visible(self, user: Viewer) -> QuerySet[Scope, Any]:
        """The user's key as a subquery, empty as long as nothing was ever asked there."""
        mine = Scope.objects.filter(key=owner_key(user)) if user.is_active else Scope.objects.none()
        return mine.order_by().values("key")

    def decidable(self, user: Viewer) -> QuerySet[Scope, Any]:
        """The same."""
        return self.visible(user)

    def page(self, key: str) -> str:
        """It has none."""
        return ""

    def decider_online(self, key: str) -> bool:
        """Nobody keeps book of it."""
        return False

    def policy(self, key: str) -> DecisionPolicy:
        """The owner is asked, and no answer means no."""
        return DecisionPolicy(
            ask=True,
            due_seconds=settings.CONFIG.decision_seconds,
            default="reject",
            default_reason="no decision in time",
        )


def may_run(user: Viewer, workflow: Workflow, key: str) -> bool:
    """Whether this user's rights carry the workflow in this scope."""
    rules = registry.scope_rules(key)
    return rules.may_see(user, key) and (workflow.needs != "decide" or rules.may_decide(user, key))


def may_steer(user: Viewer, job: Job) -> bool:
    """Whether the user may confirm a request's steps, call it off and run it again: its owner, who still sees it
    (and may still run it, if it is a workflow), or somebody who decides where it is."""
    mine = job.owner_id is not None and job.owner_id == user.pk
    if job.scope is None:
        return mine
    return (mine and _may_still(user, job, job.scope.key)) or registry.scope_rules(job.scope.key).may_decide(
        user, job.scope.key
    )


def _may_still(user: Viewer, job: Job, key: str) -> bool:
    return may_run(user, job.workflow, key) if job.workflow else registry.scope_rules(key).may_see(user, key)
