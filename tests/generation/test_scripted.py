import asyncio
import time
from collections.abc import Callable
from uuid import uuid4

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import JsonValue

from generation.drafts import Draft
from generation.errors import GenerationError
from generation.prompts import Prompt
from generation.providers.scripted import Scripted
from generation.scripted.tales import tell
from jobs.changes import apply, conflicts, fitting, parse_changes, value_at
from jobs.errors import PermanentError

pytestmark = pytest.mark.fast

Ask = Callable[..., Prompt]


@pytest.fixture(autouse=True)
def _quick(config: Callable[..., None]) -> None:
    config(scripted_seconds=0, scripted_seed=1, scripted_faults="")


def complete(prompt: Prompt, key: str = "", on_text: Callable[[str], None] | None = None) -> Draft:
    return asyncio.run(Scripted().complete(prompt, idempotency_key=key or str(uuid4()), on_text=on_text))


def changed(prompt: Prompt, path: str) -> JsonValue:
    return value_at(apply(complete(prompt).changes, prompt.state), path)


@pytest.mark.parametrize(
    ("action", "tried", "path", "now"),
    [
        ("I open the cellar door.", "open the cellar door", "doors.cellar", "open"),
        ("Unlocks the attic with the key", "unlock the attic", "doors.attic", "open"),
        ("I quickly grab the lamp from my shelf", "grab the lamp from their shelf", "party.inventory", [
            "torch", "rope", "lamp",
        ]),
        ("give the torch to the innkeeper", "give the torch", "party.inventory", ["rope"]),
        ("Let's sneak past the guards", "sneak past the guards", "alarm", 0),
        ("We smash the table", "smash the table", "alarm", 2),
        ("dance", "“dance”", "clock", 4),
    ],
)  # fmt: skip
def test_a_tale_says_who_tries_what_and_changes_the_state_to_match(
    ask: Ask, action: str, tried: str, path: str, now: JsonValue
) -> None:
    draft = complete(ask(action))
    assert "Mira" in draft.text
    assert tried in draft.text
    assert changed(ask(action), path) == now


@pytest.mark.parametrize(
    ("action", "path", "low", "high"),
    [
        ("search the barrels for gold", "party.gold", 14, 21),
        ("bribe the guard", "party.gold", 7, 11),
        ("attack the goblin", "party.health", 6, 8),
        ("rest by the fire", "party.health", 10, 11),
    ],
)
def test_numbers_of_the_state_move_a_little(ask: Ask, action: str, path: str, low: int, high: int) -> None:
    now = changed(ask(action), path)
    assert isinstance(now, int)
    assert low <= now <= high


def test_the_actors_own_things_come_before_those_of_others(ask: Ask) -> None:
    state: dict[str, JsonValue] = {"borin": {"inventory": []}, "mira": {"inventory": []}}
    assert changed(ask("take the lamp", state=state), "mira.inventory") == ["lamp"]


def test_time_moves_on_even_in_an_empty_world(ask: Ask) -> None:
    assert changed(ask("wait", state={}), "turns") == 1
    assert changed(ask("wait", state={"turns": 4}), "turns") == 5
    assert changed(ask("wait", state={"turns": {"mira": 1}}), "turns") == {"mira": 1}


def test_a_tale_is_two_to_four_sentences_in_the_third_person(ask: Ask) -> None:
    for action in ("open the cellar door", "search the room for gold", "Hail, friend", "attack the goblin"):
        text = complete(ask(action)).text
        assert 2 <= sum(text.count(stop) for stop in (". ", "! ", "? ", "” ")) + 1 <= 4, text
        assert "you" not in text.casefold().split()


def test_the_scene_is_where_it_happens(ask: Ask) -> None:
    told = [complete(ask(f"search shelf {n}", scene="Down in the crypt.")).text for n in range(8)]
    assert any("crypt" in text for text in told)


def test_feedback_is_followed_and_seen_to_be(ask: Ask) -> None:
    before, after = ask("search the room for gold"), ask("search the room for gold", feedback="Too generous: no gold.")
    assert changed(before, "party.gold") != 12
    assert changed(after, "party.gold") == 12
    assert "Too generous: no gold" in complete(after).text
    assert complete(ask(feedback="no changes")).changes == []


def test_the_same_seed_and_prompt_tell_the_same_tale(ask: Ask, config: Callable[..., None]) -> None:
    reordered = ask(state=dict(reversed(ask().state.items())))
    assert complete(ask()).text == complete(reordered).text
    assert complete(ask()) == complete(ask())
    seeds = set()
    for seed in range(8):
        config(scripted_seed=seed)
        seeds.add(complete(ask()).text)
    assert len(seeds) > 3


def test_different_actions_get_different_tales(ask: Ask) -> None:
    assert len({complete(ask(f"search shelf {n}")).text.replace(str(n), "") for n in range(20)}) > 5


@pytest.mark.parametrize(
    "action", ["<script>alert(1)</script>", "{actor} {0} %s", "x" * 4000, "...", "“", "\n\n I \n", "I", "take", "Ünï🙂"]
)
def test_any_action_gets_a_tale(ask: Ask, action: str) -> None:
    draft = complete(ask(action))
    assert "Mira" in draft.text
    assert len(draft.text) < 1000


words = st.sampled_from(["i", "open", "the", "take", "gold", "door", "cellar", "give", "rest", "pay", "{", "hp", "no"])
keys = st.sampled_from(["gold", "inventory", "health", "alarm", "clock", "door", "cellar", "a b", "", "x.y", "mira"])
leaves = st.none() | st.booleans() | st.integers(-5, 20) | st.floats(-1, 9) | st.text(max_size=5) | st.just("door")
values = st.recursive(leaves, lambda v: st.lists(v, max_size=3) | st.dictionaries(keys, v, max_size=4), max_leaves=12)


@example("take {", {"inventory": []}, None)
@example("take {actor.__class__}", {"inventory": []}, None)
@example("take gold", {"a b": {"gold": 1}}, None)
@example("take gold", {"x.y": {"gold": 1}}, None)
@example("take gold", {"a" * 199: {"gold": 1}}, None)
@example("take gold", {"a": {"b": {"c": {"d": {"e": {"f": {"g": {"h": {"i": {"j": {"gold": 1}}}}}}}}}}}, None)
@given(
    st.lists(words, max_size=6).map(" ".join) | st.text(max_size=50),
    st.dictionaries(keys, values, max_size=5),
    st.none() | st.lists(words, max_size=4).map(" ".join),
)
def test_every_tale_proposes_changes_that_are_well_formed_and_fit(
    action: str, state: dict[str, JsonValue], feedback: str | None
) -> None:
    prompt = Prompt(scene="A hall.", state=state, actor="Mira", action=action, feedback=feedback)
    tale = tell(prompt, seed=1)
    changes, notes = parse_changes(tale.changes)
    assert (notes, fitting(changes, state)) == ([], (changes, []))


def test_the_draft_carries_what_the_storyteller_saw(ask: Ask) -> None:
    prompt = ask()
    draft = complete(prompt)
    assert draft.changes
    assert all(made.claims for made in draft.changes)
    assert conflicts(draft.changes, prompt.state) == []
    assert (draft.model, draft.finish, draft.notes) == ("scripted", "stop", [])


def test_the_words_come_one_by_one_over_the_given_time(ask: Ask, config: Callable[..., None]) -> None:
    config(scripted_seconds=0.3)
    times: list[float] = []
    pieces: list[str] = []

    def note(text: str) -> None:
        times.append(time.monotonic())
        pieces.append(text)

    began = time.monotonic()
    draft = complete(ask(), on_text=note)
    assert "".join(pieces).strip() == draft.text
    assert 0.3 <= time.monotonic() - began < 5, "over all words, not for each"
    assert times[len(times) // 2] - began > 0.1


def test_refuse_is_final(ask: Ask, config: Callable[..., None]) -> None:
    config(scripted_faults="refuse@forbidden")
    with pytest.raises(PermanentError) as raised:
        complete(ask("speak the FORBIDDEN word"))
    assert raised.value.code == "refused"
    assert complete(ask("speak the unforbidden word")).text


@pytest.mark.parametrize(("fault", "code"), [("fail", "llm_failed"), ("cut_off", "cut_off")])
def test_a_passing_fault_strikes_each_call_once(ask: Ask, config: Callable[..., None], fault: str, code: str) -> None:
    config(scripted_faults=f"{fault}@stumble")
    for key in (str(uuid4()), str(uuid4())):
        with pytest.raises(GenerationError) as raised:
            complete(ask("stumble on"), key)
        assert raised.value.code == code
        assert complete(ask("stumble on"), key).text


def test_a_cut_off_answer_has_begun(ask: Ask, config: Callable[..., None]) -> None:
    config(scripted_faults="cut_off:1")
    pieces: list[str] = []
    with pytest.raises(GenerationError):
        complete(ask(), on_text=pieces.append)
    assert 0 < len(pieces) < len(tell(ask(), 1).text.split())


def test_invalid_changes_leave_the_good_ones_and_a_note_for_each_bad_one(ask: Ask, config: Callable[..., None]) -> None:
    good = complete(ask()).changes
    config(scripted_faults="invalid_changes:1")
    draft = complete(ask())
    assert draft.changes == good
    assert len(draft.notes) == 3


def test_slow_takes_ten_times_as_long(ask: Ask, config: Callable[..., None]) -> None:
    config(scripted_seconds=0.03, scripted_faults="slow@ponder")
    began = time.monotonic()
    complete(ask("ponder the runes"))
    assert time.monotonic() - began >= 0.3
