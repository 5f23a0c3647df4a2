"""A chat turn, from what a member says to the turn that the game keeps, run in the test's own process."""

from __future__ import annotations

import pytest

from games.models import Decisions, Game
from games.operations import chat
from jobs.testing import run_until_idle
from tests.cast import Cast
from tests.games.story import ask, fresh, result_of, rule, told

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_chat_turn_is_answered_and_kept(cast: Cast) -> None:
    Game.objects.update(decisions=Decisions.NEVER)
    job = chat(user=cast.player1, game=cast.game, text="Is anybody down there?")
    run_until_idle()
    turn = cast.game.turns.get()
    assert (turn.kind, turn.action, turn.narration) == (
        "chat", "Is anybody down there?", result_of(fresh(job))["narration"],
    )  # fmt: skip
    assert [name for _, name, _ in told(cast.game)] == [
        "request.queued",
        "request.processing",
        "llm.processing",
        "game.state_updated",
        "request.completed",
    ]


def test_chats_and_actions_of_a_game_are_one_line_in_the_order_of_arrival(cast: Cast) -> None:
    first = ask(cast.player1, cast.game)
    second = chat(user=cast.player2, game=cast.game, text="Wait for me!")
    third = ask(cast.player1, cast.game, "I wait")
    run_until_idle()
    assert [fresh(job).request_status for job in (first, second, third)] == ["awaiting_approval", "queued", "queued"]
    rule(cast.dm, first)
    assert fresh(second).request_status == "awaiting_approval"
    rule(cast.dm, second)
    assert fresh(third).request_status == "awaiting_approval"
