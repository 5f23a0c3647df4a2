"""Holding a JSON state to a schema: a small part of JSON Schema, without references and patterns. Pure.

What is left out could reach for other documents, or take more time than a state is worth.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from jobs.changes import Change, ChangeError, State, apply

Schema = dict[str, Any]

KEYWORDS = frozenset(
    [
        *("type", "enum", "const", "title", "description", "default"),
        *("properties", "required", "additionalProperties", "minProperties", "maxProperties"),
        *("items", "minItems", "maxItems", "uniqueItems"),
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength"),
    ]
)
NOTE_CHARACTERS = 200


class Breach(NamedTuple):
    """Where something is not as it should be, as a dotted path, and why."""

    path: str
    reason: str


def breaches(state: State, schema: Schema) -> list[Breach]:
    """Where ``state`` breaks ``schema``; nothing for the empty schema, which allows everything."""
    if not schema:
        return []
    found = _validator(json.dumps(schema, sort_keys=True)).iter_errors(state)
    return [Breach(".".join(map(str, error.absolute_path)), error.message[:NOTE_CHARACTERS]) for error in found]


def broken(state: State, before: State, schema: Schema) -> list[Breach]:
    """Where ``state`` breaks ``schema`` and ``before`` did not: what was wrong already is held against nobody."""
    wrong = breaches(state, schema)
    known = breaches(before, schema) if wrong else []
    return [breach for breach in wrong if breach not in known]


def mistakes(schema: Any) -> list[Breach]:
    """What is wrong with a schema itself, by its own paths."""
    unknown = list(_unknown(schema, ()))
    if unknown:
        return unknown
    from jsonschema import Draft202012Validator

    checks = Draft202012Validator(Draft202012Validator.META_SCHEMA).iter_errors(schema)
    return [Breach(".".join(map(str, error.absolute_path)), error.message[:NOTE_CHARACTERS]) for error in checks]


def keeping(changes: Iterable[Change], state: State, schema: Schema) -> tuple[list[Change], list[str]]:
    """Those changes by none of which ``state`` comes to break ``schema``, and a note on each of the others."""
    kept: list[Change] = []
    notes: list[str] = []
    for change in changes:
        try:
            after = apply([change], state)
        except ChangeError as error:  # what it stands on was itself left out
            notes.append(f"Left out “{change.path[:60]}”: {error.reason}"[:NOTE_CHARACTERS])
            continue
        if wrong := broken(after, state, schema):
            notes.append(f"Left out “{change.path[:60]}”: {wrong[0].reason}"[:NOTE_CHARACTERS])
            continue
        kept.append(change)
        state = after
    return kept, notes


def declares(schema: Schema, path: str) -> bool:
    """Whether the schema names what lies at the dotted ``path``."""
    for key in path.split("."):
        properties = schema.get("properties")
        if not isinstance(properties, dict) or not isinstance(properties.get(key), dict):
            return False
        schema = properties[key]
    return True


@lru_cache(maxsize=64)
def _validator(schema: str) -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(json.loads(schema))


def _unknown(schema: Any, path: tuple[str, ...]) -> Iterator[Breach]:
    if isinstance(schema, bool):
        return
    if not isinstance(schema, dict):
        yield Breach(".".join(path), "a schema is an object, true or false")
        return
    for word in schema:
        if word not in KEYWORDS:
            yield Breach(
                ".".join((*path, str(word))), f"not one of the words that are known: {', '.join(sorted(KEYWORDS))}"
            )
    properties = schema.get("properties", {})
    for name, inner in properties.items() if isinstance(properties, dict) else ():
        yield from _unknown(inner, (*path, "properties", name))
    for word in ("items", "additionalProperties"):
        if word in schema:
            yield from _unknown(schema[word], (*path, word))
