"""The admin sets games up; it changes nothing that has happened in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from games.models import Game, Scenario, Turn
from tests.cast import Cast

pytestmark = pytest.mark.django_db

WELL = (Path(__file__).parent / "scenario.yaml").read_text()

MEMBERS = {"memberships-TOTAL_FORMS": 0, "memberships-INITIAL_FORMS": 0}
SETTINGS = {
    "name": "The Well",
    "opening": "A well.",
    "decisions": "ask",
    "decision_seconds": "60",
    "decision_default": "reject",
    "decision_default_reason": "no decision in time",
    "undo_seconds": "0",
    **MEMBERS,
}


@pytest.fixture
def admin(cast: Cast) -> Client:
    client = Client()
    client.force_login(cast.admin)
    return client


def change(admin: Client, game: Game, **fields: Any) -> Any:
    return admin.post(reverse("admin:games_game_change", args=[game.pk]), SETTINGS | fields)


def test_a_game_is_made_with_its_state(admin: Client) -> None:
    answer = admin.post(reverse("admin:games_game_add"), SETTINGS | {"state": '{"rope": 3}'})
    assert answer.status_code == 302
    assert Game.objects.get(name="The Well").state == {"rope": 3}


@pytest.mark.parametrize(
    "fields",
    [
        {"state": "[1]"},
        {"state": "{"},
        {"state": '{"gold": ' + "9" * 5000 + "}"},
        {"state": '{"gold": 1e999}'},
        {"state": '{"a":' * 3000},
        {"state": '{"a": "\\ud800"}'},
        {"state": '{"a": "\\u0000"}'},
        {"decision_seconds": "0"},
        {"decision_seconds": "nan"},
        {"undo_seconds": "1e99"},
    ],
)
def test_a_game_that_cannot_work_is_refused(admin: Client, fields: dict[str, str]) -> None:
    answer = admin.post(reverse("admin:games_game_add"), SETTINGS | {"state": "{}"} | fields)
    assert answer.status_code == 200
    assert "errorlist" in answer.content.decode()
    assert not Game.objects.filter(name="The Well").exists()


def test_a_scenarios_state_is_taken_where_none_is_typed_and_one_that_breaks_its_schema_is_refused(
    admin: Client,
) -> None:
    scenario = Scenario.objects.create(name="The Well", version=1, source=WELL)
    fields = SETTINGS | {"scenario": scenario.pk, "opening": "Our own."}
    wrong = admin.post(reverse("admin:games_game_add"), fields | {"state": '{"party": {"gold": 20}}'})
    assert "party.gold: 20 is greater than the maximum of 10" in wrong.content.decode()
    assert not Game.objects.filter(name="The Well").exists()
    assert admin.post(reverse("admin:games_game_add"), fields | {"state": "{}"}).status_code == 302
    game = Game.objects.get(name="The Well")
    assert (game.opening, game.state) == ("Our own.", scenario.document.state)


def test_settings_can_be_changed_and_the_state_can_not(cast: Cast, admin: Client) -> None:
    assert change(admin, cast.game, decisions="never", state='{"hacked": 1}', turn="99").status_code == 302
    game = Game.objects.get(pk=cast.game.pk)
    assert (game.name, game.decisions) == ("The Well", "never")
    assert (game.state, game.turn) == (cast.game.state, 0)


def test_who_is_added_twice_is_a_mistake_of_the_form(cast: Cast, admin: Client) -> None:
    (memberships,) = admin.get(reverse("admin:games_game_change", args=[cast.game.pk])).context["inline_admin_formsets"]
    fields = [*memberships.formset.management_form, *(field for form in memberships.formset for field in form)]
    sent = {field.html_name: "" if field.value() is None else field.value() for field in fields}
    sent |= {"memberships-4-user": cast.stranger.pk}
    assert change(admin, cast.game, **sent).status_code == 302
    again = change(admin, cast.game, **sent)
    assert (again.status_code, cast.game.memberships.count()) == (200, 5)
    assert "Membership with this Game and User already exists." in again.content.decode()


def test_games_and_turns_are_not_deleted_and_turns_not_written(cast: Cast, admin: Client) -> None:
    turn = Turn.objects.create(game=cast.game, number=1, kind="dm_action", narration="It rains.", request=uuid4())
    pages = {
        reverse("admin:games_game_delete", args=[cast.game.pk]): 403,
        reverse("admin:games_turn_delete", args=[turn.pk]): 403,
        reverse("admin:games_turn_add"): 403,
        reverse("admin:games_turn_change", args=[turn.pk]): 200,
        reverse("admin:games_turn_changelist"): 200,
        reverse("admin:games_game_changelist"): 200,
        reverse("admin:games_game_change", args=[cast.game.pk]): 200,
        reverse("admin:games_membership_changelist"): 200,
    }
    assert {path: admin.get(path).status_code for path in pages} == pages
    assert admin.post(reverse("admin:games_turn_change", args=[turn.pk]), {"narration": "x"}).status_code == 403
    assert Turn.objects.get().narration == "It rains."
