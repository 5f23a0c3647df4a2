"""When a DM counts as being there."""

from __future__ import annotations

import pytest

from approvals.signals import decider_present
from games.models import Membership
from jobs import registry
from tests.cast import Cast

pytestmark = pytest.mark.django_db


def test_an_open_decision_queue_is_presence_in_every_game_one_directs(cast: Cast) -> None:
    rules = registry.scope_rules(cast.game.scope_key)
    assert not rules.decider_online(cast.game.scope_key)
    decider_present.send(sender=None, user=cast.dm)
    assert rules.decider_online(cast.game.scope_key)
    assert rules.decider_online(cast.other.scope_key)


def test_a_players_presence_is_not_a_dms(cast: Cast) -> None:
    decider_present.send(sender=None, user=cast.player1)
    assert not Membership.objects.filter(seen_at__isnull=False).exists()
