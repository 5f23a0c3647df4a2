"""Events of a story: set off by a turn, in its transaction, told in the game's own line, each as often as it should."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from accounts.models import AuditEntry
from approvals.models import Approval
from games.models import Decisions, Game, Happened, Scenario, Turn
from games.operations import act, chat
from games.story_events import clear, waiting
from jobs import queue_settings
from jobs.errors import Refused
from jobs.models import Job
from jobs.models_events import JobEvent
from jobs.operations.operator import Operator
from jobs.testing import replay_check, run_next, run_until_idle
from queueproject.env import QueueDefaults
from tests.cast import Cast
from tests.games.story import ask, event, fresh, rule, told

pytestmark = pytest.mark.django_db(transaction=True)

WELL = (Path(__file__).parent / "scenario.yaml").read_text()
STAFF = Operator(user=None, via="test")


@pytest.fixture
def well(cast: Cast) -> Game:
    """The game, begun from a scenario, in which nobody is asked."""
    return begin(cast.game)


def begin(game: Game) -> Game:
    scenario = Scenario.objects.get_or_create(name="The Well", version=1, defaults={"source": WELL})[0]
    game.scenario, game.decisions, game.state = scenario, Decisions.NEVER, scenario.document.state
    game.save()
    return game


def kinds(game: Game) -> list[str]:
    return list(game.turns.order_by("number").values_list("kind", flat=True))


def test_a_turn_sets_off_what_is_due_as_one_request_behind_what_waits(well: Game, cast: Cast) -> None:
    first = chat(user=cast.player1, game=well, text="Hello?")
    second = act(user=cast.player2, game=well, text="I open the cellar door")
    third = chat(user=cast.player1, game=well, text="And now?")
    run_until_idle()
    assert [fresh(job).status for job in (first, second, third)] == ["completed"] * 3
    assert kinds(well) == ["chat", "player_action", "chat", *["story_event"] * 3]
    events = [job.payload["events"] for job in Job.objects.filter(type="story_event").order_by("pk")]
    assert events == [["bell"], ["draught"], ["bell"]]


def test_events_that_come_due_together_are_told_as_one_turn(well: Game, cast: Cast) -> None:
    ask(cast.player1, well)
    job = Job.objects.get(type="story_event")
    assert job.payload["events"] == ["draught", "bell"]
    prompt = Job.objects.get(parent=job).payload
    assert (prompt["kind"], prompt["action"]) == (
        "story_event", "Cold air comes up from the cellar.\n\nThe bell of the village rings by itself.",
    )  # fmt: skip
    turn = well.turns.get(kind="story_event")
    assert (turn.actor, turn.action, turn.number) == (None, "", 2)
    assert "Cold air comes up" in turn.narration


def test_more_than_a_prompt_has_room_for_is_told_in_several_turns_and_all_of_it(well: Game, cast: Cast) -> None:
    sentences = "The wind turns, and the old bell on the hill moves a little in its beam. " * 27
    when = {"value": "turn", "at_least": 1}
    events = [
        {"id": f"wind-{n}", "title": f"Wind {n} {'é' * 190}", "when": when, "prompt": sentences} for n in range(60)
    ]
    Scenario.objects.update(source=json.dumps({"name": "The Well", "opening": "A well.", "events": events}))
    ask(cast.player1, well)
    stories = Job.objects.filter(type="story_event").order_by("pk")
    assert {job.request_status for job in stories} == {"completed"}
    assert [event for job in stories for event in job.payload["events"]] == [event["id"] for event in events]
    assert 1 < len(stories) < 20
    triggered = JobEvent.objects.filter(event="story.triggered").order_by("seq")
    assert [told.data["request_id"] for told in triggered if told.data] == [str(job.public_id) for job in stories]


def test_the_trace_tells_of_what_was_set_off_and_only_deciders_of_which(well: Game, cast: Cast) -> None:
    ask(cast.player1, well)
    assert [name for _, name, _ in told(well)] == [
        "request.queued",
        "request.processing",
        "llm.processing",
        "game.state_updated",
        "request.queued",
        "story.triggered",
        "request.completed",
        "request.processing",
        "llm.processing",
        "game.state_updated",
        "request.completed",
    ]
    triggered = event(well, "story.triggered")
    assert triggered.data == {
        "turn": 1,
        "count": 2,
        "request_id": str(Job.objects.get(type="story_event").public_id),
    }
    assert triggered.private == {"events": ["draught", "bell"]}


def test_an_event_that_comes_once_and_one_that_comes_again(well: Game, cast: Cast) -> None:
    for _ in range(3):
        ask(cast.player1, well, "I open the cellar door")
    rows = dict(Happened.objects.filter(game=well).values_list("event", "times"))
    assert rows["draught"] == 1
    assert rows["bell"] >= 2
    assert Turn.objects.filter(kind="story_event").count() == rows["bell"]


def test_a_dms_own_change_sets_events_off_too(well: Game, cast: Cast) -> None:
    ask(cast.dm, well, "Gold!", changes=[{"path": "party.gold", "op": "set", "value": 9}])
    assert {row.event for row in Happened.objects.all()} == {"bell", "riches"}


def test_events_set_off_none_themselves(well: Game, cast: Cast) -> None:
    ask(cast.player1, well)
    assert Job.objects.filter(type="story_event").count() == 1


def test_where_a_dm_decides_an_event_is_decided_on_like_an_action(well: Game, cast: Cast) -> None:
    Game.objects.update(decisions=Decisions.ASK)
    rule(cast.dm, ask(cast.player1, well))
    story = Job.objects.get(type="story_event")
    assert story.request_status == "awaiting_approval"
    assert Approval.objects.get(job=story).status == "pending"
    assert rule(cast.dm, story, "reject", reason="Not now.").request_status == "rejected"
    assert kinds(well) == ["player_action"]


def test_a_change_that_breaks_the_schema_is_left_out_noted_and_never_made(well: Game, cast: Cast) -> None:
    changes = [{"path": "party.gold", "op": "set", "value": 11}]
    job = ask(cast.dm, well, "Riches!", changes=changes)
    assert (job.request_status, (job.error or {})["code"]) == ("failed", "breaks_schema")
    assert "party.gold: 11 is greater than the maximum of 10" in (job.error or {})["detail"]
    assert not well.turns.exists()


def test_what_was_wrong_before_is_held_against_no_turn_and_can_be_mended(well: Game, cast: Cast) -> None:
    Game.objects.update(state={"party": {"gold": 20, "fame": "little"}})
    schema = "minimum: 0, maximum: 10}}}"
    Scenario.objects.update(source=WELL.replace(schema, schema.replace("}}}", "}, fame: {type: integer}}}")))
    job = chat(user=cast.player1, game=well, text="Hello?")
    run_until_idle()
    assert fresh(job).request_status == "completed"
    assert Job.objects.filter(parent=job, type="llm_reason").count() == 1
    half = ask(cast.dm, well, changes=[{"path": "party.gold", "op": "set", "value": 9}])
    worse = ask(cast.dm, well, changes=[{"path": "party.fame", "op": "set", "value": "much"}])
    assert [half.request_status, worse.request_status] == ["completed", "failed"]
    assert (worse.error or {})["code"] == "breaks_schema"


def test_what_a_model_proposes_against_the_schema_is_noted_on_the_turn(
    well: Game, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    from generation.scripted import tales

    tale = tales.Tale("Gold rains.", [{"path": "party.gold", "op": "add", "value": 100}])
    monkeypatch.setattr("generation.providers.scripted.tell", lambda prompt, seed: tale)
    ask(cast.player1, well, "I wish")
    turn = well.turns.get(number=1)
    assert turn.changes == []
    assert "party.gold" in turn.notes[0]
    updated = JobEvent.objects.filter(event="game.state_updated").earliest("seq")
    assert updated.private == {"notes": turn.notes}
    assert Game.objects.get(pk=well.pk).state["party"]["gold"] == 2


@pytest.mark.parametrize("decisions", [Decisions.NEVER])
def test_a_handler_killed_after_every_step_sets_the_same_events_off_once(cast: Cast, decisions: str) -> None:
    Game.objects.update(opening="The same scene, so that the same tale is told.")
    games = iter((begin(cast.game), begin(cast.other)))

    def ask_again() -> Job:
        return act(user=cast.player1, game=next(games), text="I open the cellar door")

    def describe(job: Job) -> object:
        game = Game.objects.get(scope_key=job.scope.key if job.scope else "")
        happened = list(game.happened.order_by("event").values_list("event", "times", "last_turn"))
        return [name for _, name, _ in told(game)], game.state, game.turn, happened

    replay_check(ask_again, lambda: False, describe)
    assert Job.objects.filter(type="story_event").count() == 2


def test_staff_see_what_waits_and_call_it_off_on_record(well: Game, cast: Cast) -> None:
    act(user=cast.player1, game=well, text="I open the cellar door")
    chat(user=cast.player2, game=well, text="Hello?")
    while not Job.objects.filter(type="story_event").exists():
        assert run_next()
    assert [job.payload["text"] for job in waiting(well)] == ["A draught, The bell"]
    assert clear(well, by=STAFF) == 1
    assert clear(well, by=STAFF) == 0
    assert list(AuditEntry.objects.order_by("pk").values_list("action", "data__count")) == [
        ("story_events.cleared", 1), ("story_events.cleared", 0),
    ]  # fmt: skip
    assert Job.objects.get(type="story_event").request_status == "cancelled"
    run_until_idle()
    assert kinds(well)[:2] == ["player_action", "chat"]


def test_all_that_wait_are_called_off_and_what_is_being_told_goes_on(well: Game, cast: Cast) -> None:
    chat(user=cast.player1, game=well, text="Hello?")
    act(user=cast.player2, game=well, text="I open the cellar door")
    chat(user=cast.player1, game=well, text="And now?")
    stories = Job.objects.filter(type="story_event").order_by("pk")
    while not stories.exclude(started_at=None).exists():
        assert run_next()
    told, *called_off = stories
    assert len(called_off) == 2
    assert clear(well, by=STAFF) == 2
    assert [fresh(job).request_status for job in called_off] == ["cancelled", "cancelled"]
    assert AuditEntry.objects.get(action="story_events.cleared").data["count"] == 2
    run_until_idle()
    assert fresh(told).request_status == "completed"


def test_a_full_queue_holds_events_back_and_never_the_turn_that_set_them_off(
    well: Game, cast: Cast, config: Callable[..., None]
) -> None:
    config(queue_settings={"player_actions": QueueDefaults(waiting_per_scope=1)})
    queue_settings.forget()
    act(user=cast.player1, game=well, text="I open the cellar door")
    run_next()
    with pytest.raises(Refused):
        [chat(user=cast.player2, game=well, text=text) for text in ("Hello?", "Anyone?")]
    run_until_idle()
    assert kinds(well) == ["player_action", "chat", "story_event"]
    assert dict(well.happened.values_list("event", "last_turn")) == {"draught": 2, "bell": 2}
    queue_settings.forget()
