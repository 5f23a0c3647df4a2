import json
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue, TypeAdapter, ValidationError

from jobs.changes import (
    MAX_CHANGES,
    MAX_VALUE_BYTES,
    Change,
    ChangeError,
    Changes,
    State,
    apply,
    conflicts,
    fitting,
    parse_changes,
    value_at,
    with_was,
)

pytestmark = pytest.mark.fast

STATE: State = {
    "party": {"gold": 5, "inventory": ["torch", "rope"], "cursed": True},
    "doors": {"cellar": "closed"},
    "turn": 1,
}


def change(path: str, op: str, *value: Any, **more: Any) -> Change:
    fields = {"path": path, "op": op, **({"value": value[0]} if value else {}), **more}
    return Change.model_validate(fields)


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("made", "path", "now"),
    [
        (change("doors.cellar", "set", "open"), "doors.cellar", "open"),
        (change("camp.fire.lit", "set", True), "camp", {"fire": {"lit": True}}),
        (change("party.gold", "add", 3), "party.gold", 8),
        (change("party.gold", "add", -1.5), "party.gold", 3.5),
        (change("party.inventory", "add", "lamp"), "party.inventory", ["torch", "rope", "lamp"]),
        (change("party.inventory", "remove", "torch"), "party.inventory", ["rope"]),
        (change("party.gold", "remove"), "party", {"inventory": ["torch", "rope"], "cursed": True}),
    ],
)
def test_a_change_does_what_its_op_says(made: Change, path: str, now: JsonValue) -> None:
    before = deepcopy(STATE)
    assert value_at(apply([made], STATE), path) == now
    assert before == STATE


@pytest.mark.parametrize(
    ("misfit", "reason"),
    [
        (change("party.silver", "add", 3), "add needs a number or a list there, not nothing"),
        (change("party.cursed", "add", 1), "add needs a number or a list there, not true or false"),
        (change("party.gold", "add", "a lot"), "only a number can be added to a number, not text"),
        (change("party.gold", "add", True), "only a number can be added to a number, not true or false"),
        (change("party.inventory", "remove", "sword"), "the list does not have that value"),
        (change("doors.cellar", "remove", "closed"), "a value can only be taken out of a list, not text"),
        (change("doors.attic", "remove"), "there is nothing to remove"),
        (change("turn.count", "set", 1), "“turn” is a number, not an object"),
        (change("moon.phase", "remove"), "“moon” is nothing, not an object"),
    ],
)
def test_a_change_that_does_not_fit_names_its_path_and_leaves_the_state_alone(misfit: Change, reason: str) -> None:
    before = deepcopy(STATE)
    with pytest.raises(ChangeError) as raised:
        apply([change("turn", "add", 1), misfit], STATE)
    assert (raised.value.path, raised.value.reason) == (misfit.path, reason)
    assert before == STATE


def test_a_sum_that_json_cannot_hold_is_refused() -> None:
    for there, more in ((1e308, 1e308), (10**308, 1e308), (10**308, 10**308)):
        with pytest.raises(ChangeError, match="too large"):
            apply([change("n", "add", more)], {"n": there})


def test_a_list_of_true_does_not_lose_it_to_one() -> None:
    with pytest.raises(ChangeError, match="does not have that value"):
        apply([change("flags", "remove", 1)], {"flags": [True]})


def test_later_changes_build_on_earlier_ones_without_touching_them() -> None:
    fresh = change("bag", "set", [])
    after = apply([fresh, change("bag", "add", "map")], {})
    assert after == {"bag": ["map"]}
    assert fresh.value == []


def test_those_that_fit_are_kept_when_others_do_not() -> None:
    wanted = [change("turn", "add", 1), change("turn", "add", "x"), change("doors.cellar", "set", "open")]
    kept, notes = fitting(wanted, STATE)
    assert kept == [wanted[0], wanted[2]]
    assert notes == ["Left out “turn”: only a number can be added to a number, not text"]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("", "a path is keys"),
        ("party..gold", "a path is keys"),
        ("party.gold ", "a path is keys"),
        ("party.gold\n", "a path is keys"),
        ("party.<b>", "a path is keys"),
        (".".join("abcdefghijk"), "deeper than 10 keys"),
        ("a" * 201, "longer than 200 characters"),
    ],
)
def test_a_path_is_short_clean_keys(path: str, reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        change(path, "set", 1)


def test_keys_may_be_of_any_language() -> None:
    assert apply([change("türen.keller-1", "set", "offen")], {}) == {"türen": {"keller-1": "offen"}}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("x" * MAX_VALUE_BYTES, "larger than 4096 bytes"),
        (nested(11), "nested deeper than 10 levels"),
        (float("nan"), "too large, or none"),
        ([float("inf")], "too large, or none"),
        (10**400, "too large, or none"),
        ({"a": "nul \x00"}, "control characters"),
        ({"key\x1b": 1}, "control characters"),
        (["\ud800"], "control characters"),
        (nested(100_000), "recursion"),
        ({1, 2}, "valid JSON"),
    ],
)
def test_a_value_is_small_clean_json(value: Any, reason: str) -> None:
    with pytest.raises(ValidationError, match=f"(?is){reason}"):
        change("a", "set", value)


def test_what_the_author_saw_is_held_to_the_same_cleanliness() -> None:
    with pytest.raises(ValidationError, match="control characters"):
        change("a", "set", 1, was="\x00")


@pytest.mark.parametrize("op", ["set", "add"])
def test_a_change_that_puts_something_needs_a_value(op: str) -> None:
    with pytest.raises(ValidationError, match=f"{op} needs a value"):
        change("a", op)


def test_unknown_fields_and_too_many_changes_are_refused_at_the_door() -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        change("a", "set", 1, why="because")
    with pytest.raises(ValidationError, match="at most 50 items"):
        TypeAdapter(Changes).validate_python([{"path": "a", "op": "set", "value": 1}] * 51)


def test_a_change_that_meets_another_state_is_a_conflict() -> None:
    seen = with_was([change("party.gold", "add", 1), change("doors.attic", "set", "open")], STATE)
    assert conflicts(seen, STATE) == []
    later = apply([change("party.gold", "set", 9), change("doors.attic", "set", "locked")], STATE)
    assert conflicts(seen, later) == [
        {"path": "party.gold", "was": 5, "now": 9},
        {"path": "doors.attic", "was": None, "now": "locked"},
    ]


def test_what_the_author_said_is_kept_over_what_the_state_says() -> None:
    stated = change("party.gold", "add", 1, was=4)
    assert with_was([stated], STATE) == [stated]
    assert conflicts([stated], STATE) == [{"path": "party.gold", "was": 4, "now": 5}]


def test_a_change_without_was_claims_nothing_even_after_storage() -> None:
    stored = change("party.gold", "add", 1).model_dump(mode="json")
    assert stored == {"path": "party.gold", "op": "add", "value": 1}
    assert conflicts([Change.model_validate(stored)], STATE) == []


def test_a_claim_that_nothing_was_there_survives_storage() -> None:
    stored = with_was([change("doors.attic", "set", "open")], STATE)[0].model_dump_json()
    assert Change.model_validate_json(stored).claims


@pytest.mark.parametrize(("was", "now", "clash"), [(1, 1.0, False), (1, True, True), ([1], [True], True)])
def test_numbers_are_equal_as_json_but_never_to_true(was: Any, now: Any, clash: bool) -> None:
    assert bool(conflicts([change("a", "set", 1, was=was)], {"a": now})) is clash


def test_a_model_may_wrap_its_changes() -> None:
    one = {"path": "turn", "op": "add", "value": 1}
    expected = [Change.model_validate(one)]
    for raw in ([one], one, {"changes": [one]}, [{**one, "comment": "time passes"}]):
        assert parse_changes(raw) == (expected, [])
    assert parse_changes(None) == ([], [])


def test_malformed_changes_are_left_out_with_a_note_each() -> None:
    raw = [
        {"path": "turn", "op": "add", "value": 1},
        {"path": "party..gold", "op": "add", "value": 1},
        {"path": "a\x00", "op": "explode"},
        "gold",
    ]
    changes, notes = parse_changes(raw)
    assert [made.path for made in changes] == ["turn"]
    assert len(notes) == 3
    assert notes[0].startswith("Left out “party..gold”: a path is keys")
    assert "\x00" not in notes[1]


def test_too_many_changes_are_cut_with_one_note() -> None:
    changes, notes = parse_changes([{"path": "turn", "op": "add", "value": 1}] * 60)
    assert len(changes) == MAX_CHANGES
    assert notes == ["Left out 10 changes: at most 50 are allowed."]


def test_the_api_schema_names_the_fields() -> None:
    schema = Change.model_json_schema(mode="serialization")["$defs"]["ChangeFields"]
    assert set(schema["properties"]) == {"path", "op", "value", "was"}
    assert "was" not in schema["required"]


keys = st.from_regex(r"[a-z][\w-]{0,5}", fullmatch=True)
paths = st.lists(keys, min_size=1, max_size=4).map(".".join)
text = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=20)
numbers = st.integers(-(10**9), 10**9) | st.floats(allow_nan=False, allow_infinity=False)
leaves = st.none() | st.booleans() | numbers | text
values = st.recursive(leaves, lambda v: st.lists(v, max_size=3) | st.dictionaries(keys, v, max_size=3), max_leaves=6)
states: st.SearchStrategy[State] = st.dictionaries(keys, values, max_size=4)
some_changes = st.lists(
    st.builds(
        lambda path, op, value: change(path, op, value),
        paths,
        st.sampled_from(["set", "add", "remove"]),
        values,
    ),
    max_size=6,
)


@given(some_changes, states)
def test_changes_never_conflict_with_the_state_they_were_written_for(made: list[Change], state: State) -> None:
    assert conflicts(with_was(made, state), state) == []


@given(some_changes, states)
def test_changes_that_fit_can_be_applied_and_applying_touches_neither_side(made: list[Change], state: State) -> None:
    before = deepcopy((made, state))
    kept, notes = fitting(made, state)
    after = apply(kept, state)
    assert (made, state) == before
    assert len(kept) + len(notes) == len(made)
    assert json.loads(json.dumps(after, allow_nan=False)) == after


@given(some_changes, states)
def test_changes_come_back_from_storage_as_they_were(made: list[Change], state: State) -> None:
    seen = with_was(made, state)
    stored = json.loads(json.dumps([item.model_dump(mode="json") for item in seen]))
    assert [Change.model_validate(item) for item in stored] == seen
    assert parse_changes(stored) == (seen, [])


@given(paths, values, states)
def test_what_is_set_is_there(path: str, value: JsonValue, state: State) -> None:
    kept, _ = fitting([change(path, "set", value)], state)
    assert value_at(apply(kept, state), path) == (value if kept else value_at(state, path))


@given(paths, values)
def test_what_is_appended_last_and_taken_out_leaves_the_list(path: str, value: JsonValue) -> None:
    base = apply([change(path, "set", [])], {})
    steps = [change(path, "add", value), change(path, "remove", value)]
    assert value_at(apply(steps, base), path) == ([] if value is not None else None)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda v: st.lists(v) | st.dictionaries(st.sampled_from(["path", "op", "value", "was", "changes"]) | st.text(), v),
)


@given(anything)
def test_no_input_makes_the_parser_raise_or_let_dirt_through(raw: object) -> None:
    changes, notes = parse_changes(raw)
    json.dumps([made.model_dump(mode="json") for made in changes], allow_nan=False).encode()
    assert all(len(note) <= 200 and "\x00" not in note for note in notes)
