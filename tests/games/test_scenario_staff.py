"""Scenarios and waiting story events in staff's hands: over HTTP, in the admin and at the terminal, by rights."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from accounts import tokens
from accounts.models import AuditEntry
from games.models import Decisions, Game, Scenario
from games.operations import act
from games.story_events import waiting
from jobs.models import Job
from jobs.testing import run_next
from tests.cast import Cast

pytestmark = pytest.mark.django_db(transaction=True)

FILE = Path(__file__).parent / "scenario.yaml"
WELL = FILE.read_text()
WRONG = WELL.replace("gold: 2", "gold: 20")


def staff(*rights: str) -> User:
    user = User.objects.create_user(f"staff{User.objects.count()}", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=rights, content_type__app_label="games"))
    return user


def caller(user: User) -> Client:
    return Client(headers={"Authorization": f"Bearer {tokens.issue(user, 't', ('read', 'operate'))[1]}"})


def load(client: Client, source: str) -> Any:
    return client.post("/v1/ops/scenarios", {"source": source}, content_type="application/json")


def run(*arguments: str) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


@pytest.fixture
def waits(cast: Cast) -> Game:
    """A game in which an event waits to be told."""
    scenario = Scenario.objects.create(name="The Well", version=1, source=WELL)
    Game.objects.filter(pk=cast.game.pk).update(
        scenario=scenario, decisions=Decisions.NEVER, state=scenario.document.state
    )
    act(user=cast.player1, game=cast.game, text="I open the cellar door")
    while not Job.objects.filter(type="story_event").exists():
        assert run_next()
    return Game.objects.get(pk=cast.game.pk)


def test_a_scenario_is_loaded_over_http_once_for_each_text_and_on_record() -> None:
    client = caller(staff("view_scenario", "add_scenario"))
    first, again, other = (load(client, text).json() for text in (WELL, WELL, WELL.replace("gold: 2", "gold: 3")))
    assert [(body["name"], body["version"]) for body in (first, again, other)] == [
        ("The Well", 1), ("The Well", 1), ("The Well", 2),
    ]  # fmt: skip
    assert [item["version"] for item in client.get("/v1/ops/scenarios").json()["items"]] == [2, 1]
    assert AuditEntry.objects.filter(action="scenario.loaded").count() == 2


def test_a_wrong_scenario_is_refused_with_each_line_and_field() -> None:
    answer = load(caller(staff("view_scenario", "add_scenario")), WRONG)
    assert (answer.status_code, answer.json()["code"]) == (422, "wrong_scenario")
    assert answer.json()["fields"] == {
        "state.party.gold": "line 8: is not as the schema says: 20 is greater than the maximum of 10"
    }


def test_waiting_events_are_looked_at_and_called_off_over_http(waits: Game) -> None:
    path = f"/v1/ops/games/{waits.pk}/story-events"
    client = caller(staff("view_happened", "change_happened"))
    body = client.get(path).json()
    assert (body["count"], body["items"][0]["text"]) == (1, "A draught, The bell")
    assert body["items"][0]["prompts"][0] == "Cold air comes up from the cellar."
    assert client.delete(path).json() == {"count": 1}
    assert client.get(path).json() == {"count": 0, "items": []}


def test_without_the_right_there_is_nothing_or_it_is_named(waits: Game, cast: Cast) -> None:
    path = f"/v1/ops/games/{waits.pk}/story-events"
    assert [caller(user).get(path).status_code for user in (cast.dm, staff(), staff("view_happened"))] == [
        404,
        404,
        200,
    ]
    assert caller(staff("view_happened")).delete(path).json()["detail"] == "this needs the right games.change_happened"
    assert load(caller(cast.dm), WELL).status_code == 404
    assert load(caller(staff("view_scenario")), WELL).status_code == 403
    assert waiting(waits).count() == 1


def test_the_terminal_checks_loads_begins_and_clears(waits: Game, cast: Cast, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(WRONG)
    assert run("scenario", "check", str(FILE)) == "The Well: 3 events, 1 characters.\n"
    with pytest.raises(CommandError, match=r"wrong\.yaml:8: state\.party\.gold: is not as the schema says"):
        run("scenario", "check", str(wrong))
    with pytest.raises(CommandError, match="No such file"):
        run("scenario", "load", str(tmp_path / "none.yaml"))
    assert run("scenario", "load", str(FILE)) == "The Well, version 1.\n"
    assert "The Well  " in run("scenario", "list")
    begun = run("scenario", "begin", "The Well", "--name", "Ours", "--player", "player1", "--dm", "dm").strip()
    game = Game.objects.get(pk=begun)
    assert (game.name, game.state["clock"], game.role_of(cast.player1), game.role_of(cast.dm)) == (
        "Ours", 3, "player", "dm",
    )  # fmt: skip
    with pytest.raises(CommandError, match="no scenario is called"):
        run("scenario", "begin", "Nothing")
    assert "A draught, The bell" in run("story_events", str(waits.pk))
    assert run("story_events", str(waits.pk), "--count") == "1\n"
    assert run("story_events", str(waits.pk), "--clear") == "1 called off.\n"
    with pytest.raises(CommandError, match="there is no game"):
        run("story_events", "nonsense")


def test_the_admin_takes_a_file_and_tells_its_mistakes(cast: Cast) -> None:
    client = Client()
    client.force_login(cast.admin)
    page = client.post(reverse("admin:games_scenario_add"), {"source": WRONG})
    assert "line 8: state.party.gold: is not as the schema says" in page.content.decode()
    upload = SimpleUploadedFile("well.yaml", WELL.encode())
    assert client.post(reverse("admin:games_scenario_add"), {"file": upload}).status_code == 302
    kept = Scenario.objects.get()
    assert (kept.name, kept.version, kept.source) == ("The Well", 1, WELL)
    next_one = client.get(f"{reverse('admin:games_scenario_add')}?of={kept.pk}")
    assert "Somebody has noticed the gold." in next_one.content.decode()
    binary = SimpleUploadedFile("well.yaml", b"\xff\xfe\x00")
    assert "not UTF-8" in client.post(reverse("admin:games_scenario_add"), {"file": binary}).content.decode()
    assert client.get(reverse("admin:games_scenario_change", args=[kept.pk])).status_code == 200


def test_the_admin_begins_a_game_from_a_scenario(cast: Cast) -> None:
    client = Client()
    client.force_login(cast.admin)
    scenario = Scenario.objects.create(name="The Well", version=1, source=WELL)
    fields = {
        "name": "Ours",
        "scenario": scenario.pk,
        "state": "{}",
        "decisions": "never",
        "decision_seconds": "60",
        "decision_default": "reject",
        "decision_default_reason": "late",
        "undo_seconds": "0",
        "memberships-TOTAL_FORMS": 0,
        "memberships-INITIAL_FORMS": 0,
    }
    assert client.post(reverse("admin:games_game_add"), fields).status_code == 302
    game = Game.objects.get(name="Ours")
    assert (game.opening, game.state["clock"]) == ("A village, a well, and nobody at it.", 3)
    neither = client.post(reverse("admin:games_game_add"), fields | {"scenario": "", "name": "Nobody's"})
    assert "choose a scenario" in neither.content.decode()


def test_the_admin_shows_what_waits_and_calls_it_off(waits: Game, cast: Cast) -> None:
    client = Client()
    client.force_login(cast.admin)
    page = reverse("admin:games_game_story_events", args=[waits.pk])
    assert "Cold air comes up" in client.get(page).content.decode()
    assert "1 called off" in client.post(page, follow=True).content.decode()
    assert waiting(waits).count() == 0
    assert AuditEntry.objects.get(action="story_events.cleared").actor == cast.admin
    client.force_login(staff())
    assert client.get(page).status_code == 403
