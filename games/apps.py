from typing import Any

from django.apps import AppConfig


def _note_presence(user: Any, **about: Any) -> None:
    from games.operations import decider_presence

    decider_presence(user)


class GamesConfig(AppConfig):
    """Games that people play: the answers to their actions are made by the queue."""

    name = "games"

    def ready(self) -> None:
        """Answer for games, and declare what can be asked in them."""
        from accounts import permissions
        from approvals.signals import decider_present
        from games import invariants, jobtypes  # noqa: F401
        from games.models import Game, Happened, Scenario
        from games.rules import GameScope, game_rule, staff_rule
        from jobs import invariants as record
        from jobs import registry

        permissions.register(Game, game_rule)
        permissions.register(Scenario, staff_rule)
        permissions.register(Happened, staff_rule)
        decider_present.connect(_note_presence)
        registry.register_scope("game", GameScope())
        record.register(safety=invariants.SAFETY)
