from django.apps import AppConfig


class GamesConfig(AppConfig):
    """Games that people play: the answers to their actions are made by the queue."""

    name = "games"

    def ready(self) -> None:
        """Answer for games, and declare what can be asked in them."""
        from accounts import permissions
        from games import jobtypes  # noqa: F401
        from games.models import Game
        from games.rules import GameScope, game_rule
        from jobs import registry

        permissions.register(Game, game_rule)
        registry.register_scope("game", GameScope())
