"""Check a scenario file, keep it, and begin games from it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import CommandError, CommandParser

from games.models import Membership, Role, Scenario
from games.scenarios import operations
from games.scenarios.reading import WrongScenario, read_scenario
from jobs.errors import NotFound
from jobs.management.console import ConsoleCommand, at_the_console


class Command(ConsoleCommand):
    help = "Check a scenario file, load it as the next version, list what is loaded, begin a game."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        check = verbs.add_parser("check", help="say what is wrong with the file, by line and field")
        load = verbs.add_parser("load", help="keep it, as the next version of its name")
        for verb in (check, load):
            verb.add_argument("file", help="a file in YAML or JSON; - is standard input")
        verbs.add_parser("list", help="every version that is kept")
        begin = verbs.add_parser("begin", help="begin a game from the newest version")
        begin.add_argument("scenario", help="the scenario's name")
        begin.add_argument("--name", default="", help="the game's name; by default the scenario's")
        begin.add_argument("--player", action="append", default=[], metavar="USER", help="may be given again")
        begin.add_argument("--dm", action="append", default=[], metavar="USER", help="may be given again")

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        match verb:
            case "check":
                self._check(options["file"])
            case "load":
                self._load(options["file"])
            case "list":
                rows = [(kept.name, kept.version, kept.created_at) for kept in Scenario.objects.all()]
                self.print_table(("scenario", "version", "loaded"), rows)
            case _:
                self._begin(options["scenario"], options["name"], options["player"], options["dm"])

    def _check(self, file: str) -> None:
        try:
            document = read_scenario(_text(file))
        except WrongScenario as error:
            raise _said(file, error) from None
        self.stdout.write(f"{document.name}: {len(document.events)} events, {len(document.characters)} characters.")

    def _load(self, file: str) -> None:
        try:
            scenario = operations.load(source=_text(file), by=at_the_console())
        except WrongScenario as error:
            raise _said(file, error) from None
        self.stdout.write(f"{scenario}.")

    def _begin(self, wanted: str, name: str, players: list[str], dms: list[str]) -> None:
        scenario = Scenario.objects.filter(name=wanted).order_by("-version").first()
        if scenario is None:
            raise NotFound(f"no scenario is called {wanted!r}; `scenario list` has those that are loaded")
        members = [*((_user(player), Role.PLAYER) for player in players), *((_user(dm), Role.DM) for dm in dms)]
        game = operations.begin(scenario=scenario, name=name, by=at_the_console())
        for user, role in members:
            Membership.objects.update_or_create(game=game, user=user, defaults={"role": role})
        self.stdout.write(str(game.pk))


def _text(file: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CommandError(f"{file}: is not UTF-8") from None


def _said(file: str, error: WrongScenario) -> CommandError:
    lines = (f"{file}:{wrong.line}: {f'{wrong.field}: ' if wrong.field else ''}{wrong.reason}" for wrong in error.lines)
    return CommandError("\n".join(lines))


def _user(name: str) -> User:
    user = User.objects.filter(username=name).first()
    if user is None:
        raise NotFound(f"no user is called {name!r}")
    return user
