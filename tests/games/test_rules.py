"""Who may do what in a game: members by their role, and nobody else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.db.models.functions import Now

from accounts.permissions import may
from games.models import Decisions, Game, Membership, scope_key
from games.operations import present
from games.rules import GameScope
from jobs.models import Scope
from jobs.registry import scope_rules
from tests.cast import Cast

pytestmark = pytest.mark.django_db

RIGHTS = {
    "player1": {"see", "act"},
    "dm": {"see", "act", "decide"},
    "dm2": {"see", "act", "decide"},
    "stranger": set(),
    "admin": set(),
}


@pytest.mark.parametrize(("name", "rights"), RIGHTS.items())
def test_rights_come_from_membership_alone(cast: Cast, name: str, rights: set[str]) -> None:
    user = getattr(cast, name)
    assert {action for action in ("see", "act", "decide", "delete") if may(user, action, cast.game)} == rights


@pytest.mark.parametrize(("name", "rights"), RIGHTS.items())
def test_the_queue_is_told_the_same(cast: Cast, name: str, rights: set[str]) -> None:
    user, rules, key = getattr(cast, name), scope_rules(cast.game.scope_key), cast.game.scope_key
    Scope.objects.create(key=key)
    assert rules.may_see(user, key) == ("see" in rights)
    assert rules.may_decide(user, key) == ("decide" in rights)
    assert Scope.objects.filter(key__in=rules.visible(user)).exists() == ("see" in rights)
    assert Scope.objects.filter(key__in=rules.decidable(user)).exists() == ("decide" in rights)


def test_a_dm_decides_in_the_dms_own_games_only(cast: Cast) -> None:
    assert not may(cast.dm2, "see", cast.other)
    assert set(Game.objects.decidable_by(cast.dm)) == {cast.game, cast.other}
    assert set(Game.objects.decidable_by(cast.dm2)) == {cast.game}


def test_someone_deactivated_or_anonymous_has_no_games(cast: Cast) -> None:
    cast.dm.is_active = False
    cast.dm.save()
    for user in (cast.dm, AnonymousUser()):
        assert not may(user, "see", cast.game)
        assert not Game.objects.visible_to(user).exists()
        assert not GameScope().may_decide(user, cast.game.scope_key)


def test_the_scopes_key_is_kept_in_the_row(cast: Cast) -> None:
    assert cast.game.scope_key == scope_key(cast.game.pk) == f"game:{cast.game.pk}"
    assert GameScope().label(cast.game.scope_key) == "The Cellar"
    assert GameScope().label("game:gone") == "game:gone"


def test_a_dm_is_online_while_a_socket_of_the_dms_was_seen_lately(cast: Cast, config: Callable[..., None]) -> None:
    config(presence_seconds=60)
    rules, key = GameScope(), cast.game.scope_key
    assert not rules.decider_online(key)
    assert present([membership(cast, cast.player1)]) == 1
    assert not rules.decider_online(key)
    assert present([membership(cast, cast.dm2)]) == 1
    assert rules.decider_online(key)
    assert not rules.decider_online(cast.other.scope_key)
    Membership.objects.update(seen_at=Now() - timedelta(seconds=61))
    assert not rules.decider_online(key)


def test_who_has_left_is_not_present(cast: Cast) -> None:
    left = membership(cast, cast.dm)
    Membership.objects.filter(pk=left).delete()
    assert present([left]) == 0


def membership(cast: Cast, user: User) -> int:
    return Membership.objects.get(user=user, game=cast.game).pk


def test_the_games_wishes_are_the_policy(cast: Cast) -> None:
    Game.objects.filter(pk=cast.game.pk).update(decisions=Decisions.NEVER, decision_seconds=5, undo_seconds=2.5)
    policy = GameScope().policy(cast.game.scope_key)
    assert (policy.ask, policy.due_seconds, policy.undo_seconds) == (False, 5, 2.5)
    assert (policy.default, policy.default_reason) == ("reject", "no decision in time")
