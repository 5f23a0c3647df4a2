"""Look at the events that wait to be told in a story, and call them off."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from games import story_events
from games.models import Game
from jobs.errors import NotFound
from jobs.management.console import ConsoleCommand, at_the_console
from jobs.models import request_uuid

MOST_SHOWN = 200


class Command(ConsoleCommand):
    help = "Show the story events that wait in a game, or call them off."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("game", help="the game's id")
        parser.add_argument("--clear", action="store_true", help="call off those that nobody has begun to tell")
        parser.add_argument("--count", action="store_true", help="say only how many requests wait")

    def handle(self, *args: Any, game: str, clear: bool, count: bool, **options: Any) -> None:
        key = request_uuid(game)
        found = Game.objects.select_related("scenario").filter(pk=key).first() if key else None
        if found is None:
            raise NotFound(f"there is no game {game}")
        if clear:
            self.stdout.write(f"{story_events.clear(found, by=at_the_console())} called off.")
        elif count:
            self.stdout.write(str(story_events.waiting(found).count()))
        else:
            rows = [
                (row["request_id"], row["text"], row["queued_at"]) for row in story_events.peek(found, limit=MOST_SHOWN)
            ]
            self.print_table(("request", "events", "queued"), rows)
