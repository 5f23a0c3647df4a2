"""``manage.py demo``: what it makes, twice, and where it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from accounts import tokens
from games.models import Game, Role
from jobs.changes import Change, apply
from jobs.models_schedules import Schedule

pytestmark = pytest.mark.django_db


@pytest.fixture
def demo(config: Callable[..., None], tmp_path: Path) -> Callable[[], dict[str, Any]]:
    config(demo=True)

    def run() -> dict[str, Any]:
        path = tmp_path / "var" / "demo.json"
        call_command("demo", path=path)
        found: dict[str, Any] = json.loads(path.read_text())
        return found

    return run


def test_everyone_of_the_demo_can_sign_in_and_call(demo: Callable[[], dict[str, Any]]) -> None:
    users = demo()["users"]
    assert list(users) == ["player1", "player2", "dm", "dm2", "admin"]
    for name, secrets in users.items():
        user = authenticate(username=name, password=secrets["password"])
        token = tokens.authenticate(secrets["token"])
        assert isinstance(user, User)
        assert token
        assert token.user == user
        assert user.is_superuser is user.is_staff is (name == "admin")


def test_the_games_have_their_members(demo: Callable[[], dict[str, Any]]) -> None:
    games = [Game.objects.get(pk=game["id"], name=game["name"]) for game in demo()["games"]]
    members = [{(m.user.username, m.role) for m in game.memberships.select_related("user")} for game in games]
    both = {("player1", Role.PLAYER), ("player2", Role.PLAYER), ("dm", Role.DM)}
    assert members == [both | {("dm2", Role.DM)}, both, both, both, both]
    assert all(game.opening and apply([Change(path="clock", op="set", value=1)], game.state) for game in games)


def test_three_games_are_begun_from_the_shipped_scenarios_once(demo: Callable[[], dict[str, Any]]) -> None:
    for _ in range(2):
        demo()
    begun = Game.objects.exclude(scenario=None).order_by("pk")
    assert [(game.name, game.scenario and game.scenario.version, game.decisions) for game in begun] == [
        ("The Clock in Harrow Lane", 1, "never"),
        ("Salt over Vesper Station", 1, "never"),
        ("Die letzte Fähre", 1, "ask"),
    ]
    assert all(game.scenario and game.state == game.scenario.document.state for game in begun)


def test_every_night_the_chronicle_is_continued(demo: Callable[[], dict[str, Any]]) -> None:
    for _ in range(2):
        demo()
    schedule = Schedule.objects.get()
    assert (schedule.name, schedule.job_type, schedule.cron) == ("nightly-chronicle", "chronicle_night", "0 3 * * *")
    assert schedule.next_at is not None


def test_a_second_run_keeps_what_was_played_and_ends_the_former_tokens(demo: Callable[[], dict[str, Any]]) -> None:
    first = demo()
    Game.objects.update(turn=7, state={"played": True})
    second = demo()
    assert second["games"] == first["games"]
    assert set(Game.objects.values_list("turn", flat=True)) == {7}
    for name in first["users"]:
        assert second["users"][name]["password"] == first["users"][name]["password"]
        assert tokens.authenticate(first["users"][name]["token"]) is None
        assert tokens.authenticate(second["users"][name]["token"])


def test_outside_a_demo_it_refuses(config: Callable[..., None]) -> None:
    config(demo=False)
    with pytest.raises(CommandError, match="DEMO=1"):
        call_command("demo")
    assert not User.objects.exists()
