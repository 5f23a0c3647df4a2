"""Play a game in the terminal, here or on a server far away: over HTTP and its event stream only."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from console.start import add_arguments, start


class Command(BaseCommand):
    help = "Play a game in the terminal, over HTTP and its event stream. It needs a server, and no database."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        add_arguments(parser)

    def handle(self, *args: Any, server: str, token: str, game: str, plain: bool, timeout: float, **_: Any) -> None:
        sys.exit(start(server=server, token=token, game=game, plain=plain, timeout=timeout))
