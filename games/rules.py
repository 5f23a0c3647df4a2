"""Who may do what in a game: the answers for ``accounts.permissions`` and for the queue's scopes of kind ``game``."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from django.db.models import Model, QuerySet
from django.urls import reverse

from games.models import Decisions, Game, Membership, Role
from jobs.registry import DecisionPolicy

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User

    Viewer = AbstractBaseUser | AnonymousUser

RIGHTS: dict[Role | None, frozenset[str]] = {
    None: frozenset(),
    Role.PLAYER: frozenset({"see", "act"}),
    Role.DM: frozenset({"see", "act", "decide"}),
}


def game_rule(user: User, action: str, on: object) -> bool:
    """Whether the user's role in this game gives the right."""
    return isinstance(on, Game) and action in RIGHTS[on.role_of(user)]


def staff_rule(user: User, action: str, on: object) -> bool:
    """``add`` on a scenario needs staff with ``games.add_scenario``; to call story events off, ``change_happened``."""
    return isinstance(on, Model) and user.is_staff and user.has_perm(f"games.{action}_{on._meta.model_name}")


class GameScope:
    """The queue's questions about ``game:<id>``."""

    def label(self, key: str) -> str:
        """The game's name; the key itself for a game that is gone."""
        return Game.objects.filter(scope_key=key).values_list("name", flat=True).first() or key

    def may_see(self, user: Viewer, key: str) -> bool:
        """Whether the user is a member."""
        return Game.objects.visible_to(user).filter(scope_key=key).exists()

    def may_decide(self, user: Viewer, key: str) -> bool:
        """Whether the user is a DM there."""
        return Game.objects.decidable_by(user).filter(scope_key=key).exists()

    def viewers(self, key: str, users: Collection[int]) -> dict[int, bool]:
        """The members among these users, and whether each is a DM."""
        seated = Membership.objects.filter(game__scope_key=key, user__in=users, user__is_active=True)
        return {user: "decide" in RIGHTS[Role(role)] for user, role in seated.values_list("user", "role")}

    def visible(self, user: Viewer) -> QuerySet[Game, Any]:
        """The keys of the user's games, as a subquery."""
        return Game.objects.visible_to(user).order_by().values("scope_key")

    def decidable(self, user: Viewer) -> QuerySet[Game, Any]:
        """The keys of the games in which the user is a DM, as a subquery."""
        return Game.objects.decidable_by(user).order_by().values("scope_key")

    def page(self, key: str) -> str:
        """The game's page."""
        return reverse("play", args=[key.removeprefix("game:")])

    def decider_online(self, key: str) -> bool:
        """Whether a DM is connected."""
        game = Game.objects.filter(scope_key=key).first()
        return game is not None and game.dm_online()

    def policy(self, key: str) -> DecisionPolicy:
        """How the game wants decisions taken."""
        game = Game.objects.defer("opening", "state").get(scope_key=key)
        return DecisionPolicy(
            ask=game.decisions == Decisions.ASK,
            due_seconds=game.decision_seconds,
            default=game.decision_default,
            default_reason=game.decision_default_reason,
            undo_seconds=game.undo_seconds,
        )
