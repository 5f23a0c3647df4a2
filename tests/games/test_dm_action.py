"""A DM's own action: at once, past a waiting player, and never over a state that the DM has not seen."""

from __future__ import annotations

from threading import Thread

import pytest
from django.db import connection, transaction

from games.models import Game, Turn
from games.operations import act
from jobs.testing import run_until_idle
from tests.cast import Cast
from tests.games.story import ask, error_of, event, fresh, result_of, rule, told
from tests.locks import waiting_for_locks
from tests.waiting import wait_until

GOLD = {"path": "party.gold", "op": "add", "value": 1}

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_dms_words_are_told_as_they_are_and_leave_the_golden_trace(cast: Cast) -> None:
    job = ask(cast.dm, cast.game, "The rain stops.")
    assert job.result == {"turn": 1, "narration": "The rain stops.", "changes": []}
    assert told(cast.game) == [
        (1, "request.queued", "queued"),
        (2, "request.processing", "processing"),
        (3, "game.state_updated", "processing"),
        (4, "request.completed", "completed"),
    ]
    assert event(cast.game, "request.queued").data == {"kind": "dm_action", "position": 0}
    turn = Turn.objects.get()
    assert (turn.kind, turn.action, turn.narration) == ("dm_action", "", "The rain stops.")


def test_a_dms_changes_are_told_with_what_was_there(cast: Cast) -> None:
    changes = [{"path": "party.gold", "op": "add", "value": -2}, {"path": "clock", "op": "remove"}]
    ask(cast.dm, cast.game, "", changes=changes)
    assert Game.objects.get(pk=cast.game.pk).state == {
        "party": {"gold": 10, "inventory": ["rope"]},
        "doors": {"cellar": "closed"},
    }
    assert event(cast.game, "game.state_updated").data == {
        "turn": 1,
        "changes": [
            {"path": "party.gold", "op": "add", "value": -2, "was": 12},
            {"path": "clock", "op": "remove", "value": None, "was": 3},
        ],
    }


def test_a_dm_is_not_held_up_by_a_player_who_waits(cast: Cast) -> None:
    waiting = ask(cast.player1, cast.game)
    assert ask(cast.dm, cast.game, "A cat walks by.").request_status == "completed"
    assert fresh(waiting).request_status == "awaiting_approval"
    assert result_of(rule(cast.dm, waiting))["turn"] == 2


def test_a_change_to_another_state_than_the_dm_saw_fails_at_once_and_names_what_is_there(cast: Cast) -> None:
    changes = [
        {"path": "party.gold", "op": "set", "value": 1, "was": 99},
        {"path": "doors.cellar", "op": "set", "value": "open", "was": "closed"},
        {"path": "clock", "op": "set", "value": 1, "was": None},
    ]
    job = ask(cast.dm, cast.game, "It is done.", changes=changes)
    assert job.request_status == "failed"
    assert job.attempt == 1
    assert job.error == {
        "code": "state_changed",
        "detail": "The state has changed: party.gold is now 12 (was 99); clock is now 3 (was nothing).",
    }
    assert not Turn.objects.exists()
    game = Game.objects.get(pk=cast.game.pk)
    assert (game.turn, game.state_version, game.state) == (0, 1, cast.game.state)


def test_of_several_changes_all_are_made_or_none(cast: Cast) -> None:
    changes = [{"path": "clock", "op": "set", "value": 9}, {"path": "party.gold", "op": "add", "value": "much"}]
    job = ask(cast.dm, cast.game, "Hm.", changes=changes)
    assert error_of(job)["code"] == "unfit_change"
    assert Game.objects.get(pk=cast.game.pk).state == cast.game.state


def test_a_state_cannot_grow_beyond_what_a_prompt_holds(cast: Cast) -> None:
    changes = [{"path": f"notes.n{n}", "op": "set", "value": "x" * 4000} for n in range(5)]
    job = ask(cast.dm, cast.game, "Much is written.", changes=changes)
    assert error_of(job)["code"] == "state_too_large"
    assert not Turn.objects.exists()


def test_an_action_in_a_game_that_is_gone_fails_clearly(cast: Cast) -> None:
    jobs = [act(user=user, game=cast.game, text="Hello?") for user in (cast.dm, cast.player1)]
    cast.game.delete()
    run_until_idle()
    assert [error_of(fresh(job))["code"] for job in jobs] == ["game_gone", "game_gone"]


def test_two_who_change_the_same_place_at_once_both_count(cast: Cast) -> None:
    """The second waits for the game's row, and adds to what the first has left there."""
    if connection.vendor != "postgresql":
        pytest.skip("SQLite lets one transaction write at a time anyway")
    job = act(user=cast.dm, game=cast.game, text="One more coin.", changes=[GOLD])
    thread = Thread(target=_run_and_close)
    with transaction.atomic():
        Game.objects.select_for_update().get(pk=cast.game.pk)
        thread.start()
        wait_until(_someone_waits_for_a_lock)
        Game.objects.filter(pk=cast.game.pk).update(state=cast.game.state | {"party": {"gold": 20}})
    thread.join()
    assert result_of(fresh(job))["changes"] == [{**GOLD, "was": 20}]
    assert Game.objects.get(pk=cast.game.pk).state["party"] == {"gold": 21}


def _run_and_close() -> None:
    run_until_idle()
    connection.close()


def _someone_waits_for_a_lock() -> bool:
    return waiting_for_locks() > 0
