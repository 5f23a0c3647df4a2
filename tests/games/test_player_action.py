"""A player's action from the first word to the turn, with the decision between, run in the test's own process."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from approvals.models import Approval
from approvals.operations import decide, expire_due
from games.models import Decisions, Game, Turn
from games.operations import act
from jobs.models import Job
from jobs.models_events import JobEvent
from jobs.testing import replay_check, run_until_idle
from tests.cast import Cast
from tests.games.story import ask, event, fresh, result_of, rule, told

pytestmark = pytest.mark.django_db(transaction=True)

BEGUN = [
    (1, "request.queued", "queued"),
    (2, "request.processing", "processing"),
    (3, "llm.processing", "processing"),
]
ASKED = [*BEGUN, (4, "approval.required", "awaiting_approval")]


def test_an_accepted_action_leaves_the_golden_trace(cast: Cast) -> None:
    job = rule(cast.dm, ask(cast.player1, cast.game))
    assert told(cast.game) == [
        *ASKED,
        (5, "approval.decided", "processing"),
        (6, "game.state_updated", "processing"),
        (7, "request.completed", "completed"),
    ]
    assert event(cast.game, "request.queued").data == {"kind": "player_action", "position": 0}
    assert event(cast.game, "game.state_updated").data == {"turn": 1, "changes": result_of(job)["changes"]}
    assert event(cast.game, "request.completed").data == {"result": job.result}
    assert {row.request for row in JobEvent.objects.filter(scope=job.scope)} == {job.public_id}


def test_an_accepted_action_becomes_a_turn_and_changes_the_state(cast: Cast) -> None:
    job = rule(cast.dm, ask(cast.player1, cast.game))
    game = Game.objects.get(pk=cast.game.pk)
    turn = game.turns.get()
    assert (turn.number, turn.kind, turn.actor, turn.action) == (
        1, "player_action", cast.player1, "I open the cellar door",
    )  # fmt: skip
    assert (turn.request, turn.narration, turn.changes) == (
        job.public_id, result_of(job)["narration"], result_of(job)["changes"],
    )  # fmt: skip
    assert (game.turn, game.state_version) == (1, 2)
    assert game.state["doors"] == {"cellar": "open"}
    assert {"path": "doors.cellar", "op": "set", "value": "open", "was": "closed"} in turn.changes


def test_players_learn_nothing_of_a_draft_before_it_is_decided(cast: Cast) -> None:
    ask(cast.player1, cast.game)
    required = event(cast.game, "approval.required")
    assert required.data is not None
    assert required.private is not None
    assert required.data.keys() == {"approval_id", "version", "due_at"}
    assert required.private["draft"]


def test_a_game_without_decisions_goes_straight_on(cast: Cast) -> None:
    Game.objects.update(decisions=Decisions.NEVER)
    job = ask(cast.player1, cast.game)
    assert told(cast.game) == [
        *BEGUN,
        (4, "game.state_updated", "processing"),
        (5, "request.completed", "completed"),
    ]
    assert result_of(job)["turn"] == 1


def test_an_edited_draft_is_what_is_told(cast: Cast) -> None:
    changes = [{"path": "party.gold", "op": "add", "value": 5, "was": 12}]
    job = rule(cast.dm, ask(cast.player1, cast.game), "modify", text="Five coins lie there.", changes=changes)
    assert job.result == {"turn": 1, "narration": "Five coins lie there.", "changes": changes}
    assert Game.objects.get(pk=cast.game.pk).state["party"]["gold"] == 17


def test_a_rejected_action_is_no_turn_and_says_why(cast: Cast) -> None:
    job = rule(cast.dm, ask(cast.player1, cast.game), "reject", reason="You are asleep.")
    assert job.request_status == "rejected"
    assert job.result == {"rejected": True, "reason": "You are asleep."}
    assert told(cast.game)[4:] == [(5, "approval.decided", "processing"), (6, "request.rejected", "rejected")]
    assert not Turn.objects.exists()


def test_another_draft_is_told_every_reason_so_far(cast: Cast) -> None:
    job = ask(cast.player1, cast.game)
    for reason in ("More rain.", "Less blood."):
        job = rule(cast.dm, job, "reject", reason=reason, regenerate=True)
    prompts = [child.payload for child in job.children.order_by("id")]
    assert [prompt["feedback"] for prompt in prompts] == [None, "More rain.", "More rain.\nLess blood."]
    assert [prompt["round"] for prompt in prompts] == [1, 2, 3]
    assert result_of(rule(cast.dm, job))["turn"] == 1


def test_a_draft_on_an_older_state_comes_back_as_a_new_version_with_the_dms_words(cast: Cast) -> None:
    job = ask(cast.player1, cast.game)
    ask(
        cast.dm,
        cast.game,
        "Somebody bars the door.",
        changes=[{"path": "doors.cellar", "op": "set", "value": "barred"}],
    )
    job = rule(cast.dm, job, "modify", text="The door gives way.")
    approval = Approval.objects.get(job=job)
    assert (approval.status, approval.version) == ("pending", 2)
    assert event(cast.game, "approval.versioned").data["reason"] == "state_changed"  # type: ignore[index]
    feedback = job.children.latest("id").payload["feedback"]
    assert "doors.cellar is now barred (was closed)" in feedback
    assert feedback.endswith("The door gives way.")
    assert Game.objects.get(pk=cast.game.pk).state["doors"] == {"cellar": "barred"}
    assert result_of(rule(cast.dm, job))["turn"] == 2


def test_an_edit_that_does_not_say_what_it_saw_is_held_to_the_drafts_state(cast: Cast) -> None:
    job = ask(cast.player1, cast.game)
    ask(cast.dm, cast.game, "Thieves!", changes=[{"path": "party.gold", "op": "set", "value": 0}])
    job = rule(cast.dm, job, "take_over", text="You pay.", changes=[{"path": "party.gold", "op": "add", "value": -5}])
    assert Approval.objects.get(job=job).version == 2
    assert Game.objects.get(pk=cast.game.pk).state["party"]["gold"] == 0


def test_a_decision_whose_changes_fit_no_state_is_asked_again(cast: Cast) -> None:
    impossible = [{"path": "doors.cellar", "op": "add", "value": 1}]
    job = rule(cast.dm, ask(cast.player1, cast.game), "take_over", text="One more door.", changes=impossible)
    assert Approval.objects.get(job=job).version == 2
    assert "does not fit the state: doors.cellar" in job.children.latest("id").payload["feedback"]


@pytest.mark.parametrize(("default", "status", "last"), [("reject", "rejected", 6), ("accept", "completed", 7)])
def test_when_nobody_decides_in_time_the_games_default_is_taken(
    cast: Cast, default: str, status: str, last: int
) -> None:
    Game.objects.update(decision_default=default)
    job = ask(cast.player1, cast.game)
    Approval.objects.update(due_at=Now() - timedelta(seconds=1))
    assert expire_due(limit=10) == 1
    run_until_idle()
    assert fresh(job).request_status == status
    assert told(cast.game)[4] == (5, "approval.expired", "processing")
    assert told(cast.game)[-1][0] == last
    if status == "rejected":
        assert result_of(fresh(job))["reason"] == "no decision in time"


def test_actions_of_one_game_run_in_order_and_those_of_another_beside_them(cast: Cast) -> None:
    first, second = ask(cast.player1, cast.game), ask(cast.player2, cast.game, "I wait")
    elsewhere = ask(cast.player2, cast.other, "I wait")
    assert [job.request_status for job in (first, second, elsewhere)] == [
        "awaiting_approval", "queued", "awaiting_approval",
    ]  # fmt: skip
    rule(cast.dm, first)
    assert fresh(second).request_status == "awaiting_approval"


@pytest.mark.parametrize("decisions", Decisions.values)
def test_a_handler_killed_after_every_step_comes_to_the_same_end(cast: Cast, decisions: str) -> None:
    Game.objects.update(decisions=decisions, opening="The same scene, so that the same tale is told.")
    games = iter((cast.game, cast.other))

    def ask_again() -> Job:
        return act(user=cast.player1, game=next(games), text="I open the cellar door")

    def answer() -> bool:
        pending = Approval.objects.pending().first()
        if pending is None:
            return False
        decide(user=cast.dm, approval_id=pending.pk, version=pending.version, decision="accept")
        return True

    def describe(job: Job) -> object:
        game = Game.objects.get(scope_key=job.scope.key if job.scope else "")
        return told(game), game.state, game.turn, job.result

    replay_check(ask_again, answer, describe)
