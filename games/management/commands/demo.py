"""``manage.py demo``: people and games to try the site with. Safe to run again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from accounts import tokens
from accounts.models import Scope
from games.jobtypes import CHRONICLE_NIGHT
from games.models import Decisions, Game, Membership, Role
from games.scenarios import SHIPPED, operations
from jobs.management.console import at_the_console
from jobs.models_schedules import Schedule
from jobs.operations import schedules

TOKEN_NAME = "demo"
NIGHTLY = "nightly-chronicle"
USERS = ("player1", "player2", "dm", "dm2", "admin")
MEMBERS: dict[str, dict[str, Role]] = {
    "The Lantern Below": {"player1": Role.PLAYER, "player2": Role.PLAYER, "dm": Role.DM, "dm2": Role.DM},
    "Static on Channel Nine": {"player1": Role.PLAYER, "player2": Role.PLAYER, "dm": Role.DM},
}
STORIES = {
    "the-clock-in-harrow-lane": Decisions.NEVER,
    "salt-over-vesper-station": Decisions.NEVER,
    "die-letzte-faehre": Decisions.ASK,
}
"""The shipped scenarios of which games are begun, and whether a DM decides in them."""
GAMES: dict[str, dict[str, Any]] = {
    "The Lantern Below": {
        "opening": (
            "Rain drums on the roof of the Drowned Lantern, the last tavern before the marsh. The innkeeper, Maud, "
            "has bolted the cellar door and piled two barrels against it. Since dusk, something below has been "
            "knocking: three times, a pause, three times again.\n\n"
            "“My husband went down for ale an hour ago,” she says, and puts a purse on the table. “Bring him up, "
            "and it is yours.” The candles lean towards the cellar, though there is no draught."
        ),
        "state": {
            "party": {"gold": 12, "inventory": ["rope", "lantern", "crowbar"], "health": 18},
            "doors": {"cellar": "barred", "kitchen": "open"},
            "maud": {"mood": "afraid", "husband": "missing"},
            "alarm": 0,
            "clock": 21,
        },
    },
    "Static on Channel Nine": {
        "opening": (
            "Relay station Heron has been silent for nine days. Your shuttle clamps onto its dock, and the corridor "
            "behind the airlock is lit by a single red strip. The air is good. The heating is off.\n\n"
            "On channel nine a voice reads numbers, calmly, without a break. It is that of the station's engineer, "
            "Ines Okafor. Her name is on the list of the dead that you were given before you left."
        ),
        "state": {
            "crew": {"credits": 240, "items": ["medkit", "cutting torch"], "health": 20},
            "station": {"power": "emergency", "airlock": "sealed", "oxygen": 87},
            "doors": {"laboratory": "locked", "tunnel": "closed"},
            "suspicion": 0,
            "hours": 0,
        },
    },
}


class Command(BaseCommand):
    help = "Create the demo's users, tokens and games, and write them down as JSON. What is there is kept."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", dest="path", type=Path, help="Write to this file instead of the terminal.")

    def handle(self, *, path: Path | None, **options: Any) -> None:
        if not settings.CONFIG.demo:
            raise CommandError("the demo's passwords are known to all: allow it with DEMO=1 (and DEBUG=1)")
        text = json.dumps(load(), indent=2)
        if path is None:
            self.stdout.write(text)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(text + "\n")


@transaction.atomic
def load() -> dict[str, Any]:
    """Users with their passwords and fresh tokens, and the games. Turns and states of a former run stay."""
    users = {name: _user(name) for name in USERS}
    games = [_game(name, users) for name in GAMES]
    games += [_story(SHIPPED / f"{name}.yaml", decisions, users) for name, decisions in STORIES.items()]
    _schedule()
    return {
        "users": {name: {"password": _password(name), "token": _token(user)} for name, user in users.items()},
        "games": [{"id": str(game.pk), "name": game.name} for game in games],
    }


def _schedule() -> None:
    """Every night a chapter is begun in each game in which something has happened; staff may pause it."""
    if not Schedule.objects.filter(name=NIGHTLY).exists():
        fields = {"job_type": CHRONICLE_NIGHT.name, "cron": "0 3 * * *", "overlap": "skip", "catch_up": 1}
        schedules.create(name=NIGHTLY, fields=fields, by=None)


def _password(name: str) -> str:
    return f"{name}-demo"


def _user(name: str) -> User:
    user, created = User.objects.get_or_create(username=name)
    user.is_staff = user.is_superuser = name == "admin"
    user.is_active = True
    if created or not user.check_password(_password(name)):
        user.set_password(_password(name))
    user.save()
    return user


def _token(user: User) -> str:
    """The raw token can't be read again, so each run issues another and ends the one before."""
    for token in user.api_tokens.filter(name=TOKEN_NAME, revoked_at=None):
        tokens.revoke(token)
    return tokens.issue(user, TOKEN_NAME, Scope.values)[1]


def _game(name: str, users: dict[str, User]) -> Game:
    game = Game.objects.filter(name=name).order_by("pk").first() or Game.objects.create(name=name, **GAMES[name])
    for member, role in MEMBERS[name].items():
        Membership.objects.update_or_create(game=game, user=users[member], defaults={"role": role})
    return game


def _story(file: Path, decisions: Decisions, users: dict[str, User]) -> Game:
    scenario = operations.load(source=file.read_text(encoding="utf-8"), by=at_the_console())
    game = Game.objects.filter(scenario__name=scenario.name).order_by("pk").first()
    if game is None:
        game = operations.begin(scenario=scenario, by=at_the_console())
        Game.objects.filter(pk=game.pk).update(decisions=decisions)
    for member in ("player1", "player2", "dm"):
        role = Role.DM if member == "dm" else Role.PLAYER
        Membership.objects.update_or_create(game=game, user=users[member], defaults={"role": role})
    return game
