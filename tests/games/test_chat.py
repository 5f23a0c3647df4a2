"""A chat turn, from what a member says to the turn that the game keeps, run in the test's own process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.threads import in_thread
from games.models import Decisions, Game, Turn
from games.operations import chat
from generation.drafts import Draft
from generation.prompts import Prompt
from jobs import queue_settings
from jobs.context import JobContext
from jobs.ephemeral import Ephemeral
from jobs.execution import execute
from jobs.inline import inline_context
from jobs.models import Job, Worker
from jobs.operations import leases
from jobs.operations.outcomes import settle
from jobs.pauses import pauses
from jobs.testing import run_until_idle
from jobs.transport import RedisTransport
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


@pytest.mark.parametrize("decisions", Decisions.values)
def test_a_chat_is_heard_while_it_is_written_by_all_or_where_a_dm_decides_by_dms(
    cast: Cast, decisions: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Game.objects.update(decisions=decisions)
    heard: list[Ephemeral] = []
    monkeypatch.setattr(RedisTransport, "say", lambda self, told, stirred=(): heard.extend(each for _, each in told))
    job = chat(user=cast.player1, game=cast.game, text="Is anybody down there?")
    run_until_idle()
    chunks = [told for told in heard if told.event == "chat.chunk"]
    draft = Job.objects.get(parent=job).result or {}
    assert "".join(told.data["content"] for told in chunks).strip() == draft["text"]
    assert [told.data["done"] for told in chunks] == [False] * (len(chunks) - 1) + [True]
    assert {told.deciders_only for told in chunks} == {decisions == Decisions.ASK}
    assert {told.request_id for told in chunks} == {str(job.public_id)}


def test_a_game_that_begins_to_ask_has_the_rest_of_an_answer_told_to_dms_only(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, config: Callable[..., None]
) -> None:
    config(socket_recheck_seconds=0.01)
    Game.objects.update(decisions=Decisions.NEVER)
    heard: list[tuple[str, bool]] = []
    monkeypatch.setattr(JobContext, "chunk", lambda ctx, text, **how: heard.append((text, how["deciders_only"])))
    monkeypatch.setattr("generation.handlers.llm_reason.provider", lambda: Waits(heard))
    chat(user=cast.player1, game=cast.game, text="Is anybody down there?")
    run_until_idle()
    assert [said for said in heard if said[0] == "The door "] == [("The door ", False)]
    assert {who for text, who in heard[:-2]} == {False, True}
    assert heard[-2:] == [("opens.", True), ("", True)]


class Waits:
    """A storyteller who says a word again and again until only DMs hear it."""

    name = "waits"

    def __init__(self, heard: list[tuple[str, bool]]) -> None:
        self._heard = heard

    async def complete(self, prompt: Prompt, *, idempotency_key: str, on_text: Callable[[str], None]) -> Draft:
        on_text("The door ")
        await in_thread(lambda: Game.objects.update(decisions=Decisions.ASK))
        async with asyncio.timeout(30):
            while not self._heard[-1][1]:
                await asyncio.sleep(0.01)
                on_text("still ")
        on_text("opens.")
        return Draft(text="The door opens.", model=self.name, finish="stop")


def test_what_comes_of_an_action_is_heard_by_nobody_before_it_is_decided(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[Ephemeral] = []
    monkeypatch.setattr(RedisTransport, "say", lambda self, told, stirred=(): heard.extend(each for _, each in told))
    ask(cast.player1, cast.game)
    assert not [told for told in heard if told.event == "chat.chunk"]


def test_a_model_that_will_not_answer_is_a_clear_error_and_nothing_else(
    cast: Cast, config: Callable[..., None]
) -> None:
    config(scripted_faults="refuse@forbidden")
    Game.objects.update(decisions=Decisions.NEVER)
    job = chat(user=cast.player1, game=cast.game, text="Say the forbidden word")
    run_until_idle()
    assert fresh(job).request_status == "failed"
    assert fresh(job).error == {"code": "refused", "detail": "The storyteller will not tell this."}
    assert (Game.objects.get(pk=cast.game.pk).state_version, Turn.objects.count()) == (1, 0)


@pytest.mark.parametrize("fault", ["cut_off", "garbage", "busy", "fail"])
def test_what_passes_is_tried_again_and_told_once(cast: Cast, config: Callable[..., None], fault: str) -> None:
    config(scripted_faults=f"{fault}@stutter")
    Game.objects.update(decisions=Decisions.NEVER)
    job = chat(user=cast.player1, game=cast.game, text="I s-s-stutter")
    run_until_idle()
    assert fresh(job).request_status == "completed"
    assert Turn.objects.count() == 1


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


MOST_STATEMENTS = (8, 14, 20) if connection.vendor == "postgresql" else (10, 15, 24)


def test_a_turn_costs_no_more_statements_than_it_must(cast: Cast, config: Callable[..., None]) -> None:
    """Three claims: the turn until it calls for a draft, the draft, and the rest."""
    config(tick_seconds=60, queue_settings_seconds=60)
    pauses.forget()
    queue_settings.forget()
    Game.objects.update(decisions=Decisions.NEVER)
    chat(user=cast.player1, game=cast.game, text="Hello?")
    run_until_idle()  # what a process asks once in a while is asked
    chat(user=cast.player1, game=cast.game, text="Is anybody down there?")
    costs = []
    for _ in range(3):
        claimed = leases.claim_next(["player_actions", "llm"], limit=1, worker_id=Worker.objects.get().pk)
        with CaptureQueriesContext(connection) as queries:
            settle([ended for job in claimed if (ended := execute(job, inline_context))])
        costs.append(sum(not query["sql"].startswith(("BEGIN", "COMMIT")) for query in queries))
    assert all(cost <= most for cost, most in zip(costs, MOST_STATEMENTS, strict=True)), costs
