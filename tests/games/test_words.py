"""States and changes in words."""

import pytest

from games.words import VALUE_CHARACTERS, change_text, state_rows, value_text

pytestmark = pytest.mark.fast


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"op": "set", "value": "open", "was": "closed"}, "closed → open"),
        ({"op": "set", "value": True, "was": None}, "nothing → true"),
        ({"op": "set", "value": {"a": [1]}, "was": 1.5}, '1.5 → {"a": [1]}'),
        ({"op": "add", "value": 5, "was": 12}, "12 + 5"),
        ({"op": "add", "value": -2.5, "was": 12}, "12 - 2.5"),
        ({"op": "add", "value": "torch", "was": ["rope"]}, "+ torch"),
        ({"op": "remove", "value": "rope", "was": ["rope"]}, "- rope"),
        ({"op": "remove", "value": None, "was": 3}, "- 3"),
    ],
)
def test_a_change_reads_as_what_it_did(change: dict[str, object], text: str) -> None:
    assert change_text({"path": "a", **change}) == text


def test_a_state_is_rows_of_paths_and_values() -> None:
    state = {"party": {"gold": 3, "bags": {"left": ["rope", "key", 2]}}, "empty": {}, "none": [], "night": False}
    assert list(state_rows(state)) == [
        ("party.gold", "3"),
        ("party.bags.left", "rope, key, 2"),
        ("empty", "{}"),
        ("none", "[]"),
        ("night", "false"),
    ]


def test_a_long_value_is_cut() -> None:
    assert value_text("x" * VALUE_CHARACTERS) == "x" * VALUE_CHARACTERS
    assert value_text("x" * (VALUE_CHARACTERS + 1)) == "x" * VALUE_CHARACTERS + "…"
