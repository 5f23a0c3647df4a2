"""A scenario file, read: what it may say, and how its mistakes are told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from games.scenarios.conditions import comparisons
from games.scenarios.document import Document
from games.scenarios.reading import WrongScenario, read_scenario

pytestmark = pytest.mark.fast

SHIPPED = sorted((Path(__file__).parents[2] / "games" / "scenarios" / "shipped").glob("*.yaml"))
WELL = (Path(__file__).parent / "scenario.yaml").read_text()


def wrong(source: str) -> list[tuple[int, str]]:
    """The line and field of each mistake."""
    with pytest.raises(WrongScenario) as caught:
        read_scenario(source)
    return [(line.line, line.field) for line in caught.value.lines]


def when(condition: Any, **fields: Any) -> Document:
    event = {"id": "it", "title": "It", "prompt": "It happens.", "when": condition, **fields}
    state = {"party": {"gold": 3, "bag": ["rope", 1]}, "open": True, "word": "salt"}
    return read_scenario(json.dumps({"name": "n", "opening": "o", "state": state, "events": [event]}))


def holds(condition: Any, turn: int = 5) -> bool:
    document = when(condition)
    return document.events[0].due(document.state, turn, None)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_shipped_scenarios_can_be_used_and_each_has_events(path: Path) -> None:
    document = read_scenario(path.read_text())
    assert len(document.events) >= 3
    assert document.characters
    assert all(list(comparisons(event.when)) for event in document.events)


def test_the_docs_example_can_be_used() -> None:
    page = (Path(__file__).parents[2] / "docs" / "story.md").read_text()
    document = read_scenario(page.partition("```yaml\n")[2].partition("```")[0])
    assert [event.id for event in document.events] == ["draught", "bell"]


def test_there_are_three_scenarios() -> None:
    assert len(SHIPPED) == 3


def test_json_says_the_same_as_yaml() -> None:
    document = read_scenario(WELL)
    as_json = document.model_dump_json(by_alias=True, exclude_unset=True, indent=2).replace("  ", "\t")
    assert read_scenario(as_json) == document


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"value": "turn", "is": 5}, True),
        ({"value": "turn", "above": 5}, False),
        ({"value": "state.party.gold", "at_least": 3}, True),
        ({"value": "state.party.gold", "below": 3}, False),
        ({"value": "state.party.gold", "at_most": 3}, True),
        ({"value": "state.open", "is": 1}, False),
        ({"value": "state.open", "is_not": 1}, True),
        ({"value": "state.open", "above": 0}, False),
        ({"value": "state.word", "contains": "al"}, True),
        ({"value": "state.party.bag", "contains": "rope"}, True),
        ({"value": "state.party.bag", "contains": True}, False),
        ({"value": "state.party", "exists": True}, True),
        ({"not": {"value": "state.party", "exists": True}}, False),
        ({"all": [{"value": "turn", "is": 5}, {"value": "turn", "is": 6}]}, False),
        ({"any": [{"value": "turn", "is": 5}, {"value": "turn", "is": 6}]}, True),
    ],
)
def test_conditions_hold_when_they_should(condition: Any, expected: bool) -> None:
    assert holds(condition) is expected


def test_an_event_comes_once_or_again_after_its_cooldown() -> None:
    always = {"value": "turn", "at_least": 0}
    once, again = when(always).events[0], when(always, once=False, cooldown=3).events[0]
    assert [event.due({}, 1, None) for event in (once, again)] == [True, True]
    assert not once.due({}, 100, 1)
    assert [again.due({}, turn, 1) for turn in (1, 3, 4)] == [False, False, True]


def test_every_mistake_is_told_with_its_line_and_field() -> None:
    source = WELL.replace("opening:", "openning:").replace("once: false", "onse: false").replace("turn, at", "torn, at")
    assert wrong(source) == [(1, "opening"), (2, "openning"), (20, "events.1.when"), (21, "events.1.onse")]


@pytest.mark.parametrize(
    ("find", "put", "line", "field"),
    [
        ("gold: 2", "gold: 20", 8, "state.party.gold"),
        ("is: open", "is: open, above: 3", 16, "events.0.when"),
        ("state.doors.cellar, is", "state.door.cellar, is", 16, "events.0.when"),
        ("id: bell", "id: draught", 18, "events.1.id"),
        ("minimum: 0", "pattern: x", 11, "schema.properties.party.properties.gold.pattern"),
        ("type: integer", "type: whole", 11, "schema.properties.party.properties.gold.type"),
        ("clock: 3", "the clock: 3", 5, "state"),
        ("clock: 3", "clock: *anchor", 6, ""),
        ("clock: 3", "clock: 2026-11-22T01:02:03Z\n  clock: 3", 7, "state.clock"),
        ("clock: 3", "clock: !!python/name:os.system 3", 6, "state.clock"),
        ("once: false", "once: true", 19, "events.1"),
    ],
)
def test_a_mistake_is_found_where_it_is(find: str, put: str, line: int, field: str) -> None:
    found = wrong(WELL.replace(find, put, 1))
    assert any(at == field for _, at in found), found
    assert min(abs(number - line) for number, at in found if at == field) <= 1


@given(st.text() | st.recursive(st.none() | st.booleans() | st.text(), lambda inner: st.lists(inner)).map(json.dumps))
def test_anything_else_is_refused_and_never_breaks_the_reader(source: str) -> None:
    wrong(source)


def test_a_file_that_would_fill_the_memory_is_refused() -> None:
    bomb = "a: &a [x,x,x]\n" + "\n".join(f"b{n}: &b{n} [*a,*a,*a]" for n in range(9))
    assert wrong(bomb) == [(2, "")]
    assert wrong("[" * 100_000) == [(1, "")]
    assert wrong("x" * 300_000) == [(1, "")]
