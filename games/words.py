"""A game's state and its changes in words, for people."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pydantic import JsonValue

VALUE_CHARACTERS = 200


def value_text(value: JsonValue) -> str:
    """A value for people: text as it is, a list of plain values with commas, anything else as JSON."""
    if value is None:
        return "nothing"
    text = value if isinstance(value, str) else _joined(value) or json.dumps(value, ensure_ascii=False)
    return text if len(text) <= VALUE_CHARACTERS else f"{text[:VALUE_CHARACTERS]}…"


def _joined(value: JsonValue) -> str:
    """The items of a list that holds plain values only, else nothing."""
    if not isinstance(value, list) or any(item is None or isinstance(item, list | dict) for item in value):
        return ""
    return ", ".join(map(value_text, value))


def change_text(change: dict[str, Any]) -> str:
    """What an applied change (as JSON, with ``was``) did at its path."""
    value, was = value_text(change.get("value")), value_text(change.get("was"))
    match change["op"]:
        case "set":
            return f"{was} → {value}"
        case "add" if isinstance(change.get("was"), int | float):
            return f"{was} {'-' if change['value'] < 0 else '+'} {value_text(abs(change['value']))}"
        case "add":
            return f"+ {value}"
    return f"- {was if change.get('value') is None else value}"


def state_rows(state: dict[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """Every value that is not itself an object, with its dotted path."""
    for key, value in state.items():
        if isinstance(value, dict) and value:
            yield from state_rows(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value_text(value)
