"""Changes to a JSON state: what one says, whether it still fits, and what it makes of the state. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
from math import inf, isfinite
from typing import Annotated, Any, Literal, NotRequired, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)
from typing_extensions import TypedDict

MAX_CHANGES = 50
MAX_PATH_CHARACTERS = 200
MAX_DEPTH = 10
MAX_VALUE_BYTES = 4096
MAX_NOTE_CHARACTERS = 200

KEY = re.compile(r"[\w-]+")
UNCLEAN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")

RETURN = re.compile(r"\r\n?")

State = dict[str, JsonValue]
Op = Literal["set", "add", "remove"]


def clean(text: str) -> str:
    """A model's text as it may be kept and shown: no control or half characters, line feeds alone."""
    return UNCLEAN.sub("", RETURN.sub("\n", text))


class ChangeError(ValueError):
    """A change does not fit the state: ``path`` names where, ``reason`` says why."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class ChangeFields(TypedDict):
    """A change as JSON."""

    path: str
    op: Op
    value: JsonValue
    was: NotRequired[JsonValue]


class Conflict(TypedDict):
    """What the author of a change saw at ``path`` and what is there now; ``None`` for nothing."""

    path: str
    was: JsonValue
    now: JsonValue


def _fit_path(path: str) -> str:
    keys = path.split(".")
    if len(path) > MAX_PATH_CHARACTERS:
        raise ValueError(f"longer than {MAX_PATH_CHARACTERS} characters")
    if len(keys) > MAX_DEPTH:
        raise ValueError(f"deeper than {MAX_DEPTH} keys")
    if not all(KEY.fullmatch(key) for key in keys):
        raise ValueError("a path is keys of letters, digits, _ and -, joined by dots")
    return path


def _parts(value: JsonValue, depth: int = 0) -> Iterator[tuple[int, JsonValue]]:
    yield depth, value
    if isinstance(value, dict):
        yield from ((depth, key) for key in value)
        for inner in value.values():
            yield from _parts(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            yield from _parts(inner, depth + 1)


def _clean(value: JsonValue) -> JsonValue:
    for _, part in _parts(value):
        if isinstance(part, int | float) and not _is_finite(part):
            raise ValueError("has a number that is too large, or none")
        if isinstance(part, str) and UNCLEAN.search(part):
            raise ValueError("has control characters")
    return value


def _small(value: JsonValue) -> JsonValue:
    if any(depth > MAX_DEPTH for depth, _ in _parts(value)):
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
    if len(json.dumps(value, ensure_ascii=False).encode()) > MAX_VALUE_BYTES:
        raise ValueError(f"larger than {MAX_VALUE_BYTES} bytes as JSON")
    return value


class Change(BaseModel):
    """One change at a dotted ``path`` ("party.gold").

    ``set`` puts ``value`` there and creates what is missing; ``add`` raises a number by ``value`` or appends
    it to a list; ``remove`` takes ``value`` out of a list or, without a value, deletes the key. ``was`` is
    what the author saw there, ``None`` for nothing. A change that leaves ``was`` out claims nothing about the
    past, and stays so when it is stored.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Annotated[str, AfterValidator(_fit_path)]
    op: Op
    value: Annotated[JsonValue, AfterValidator(_clean), AfterValidator(_small)] = None
    was: Annotated[JsonValue, AfterValidator(_clean)] = None

    @model_validator(mode="after")
    def _has_value(self) -> Self:
        if self.op != "remove" and "value" not in self.model_fields_set:
            raise ValueError(f"{self.op} needs a value")
        return self

    @model_serializer(mode="wrap")
    def _without_absent_was(self, serialize: SerializerFunctionWrapHandler) -> ChangeFields:
        fields: ChangeFields = serialize(self)
        if not self.claims:
            fields.pop("was", None)
        return fields

    @property
    def claims(self) -> bool:
        """Whether the author said what was there before."""
        return "was" in self.model_fields_set


Changes = Annotated[list[Change], Field(max_length=MAX_CHANGES)]


def parse_changes(raw: object) -> tuple[list[Change], list[str]]:
    """The well-formed changes in what a model wrote (a list, one change, or ``{"changes": …}``).

    What is not one is left out, and a note for people says which and why. Never raises.
    """
    items = _items(raw)
    if items is None:
        return [], ["The proposed changes are not a list, and were left out."]
    changes: list[Change] = []
    notes: list[str] = []
    for item in items[:MAX_CHANGES]:
        try:
            changes.append(Change.model_validate(_known_fields(item)))
        except ValidationError as error:
            notes.append(_left_out(item, error.errors()[0]["msg"].removeprefix("Value error, ")))
    if len(items) > MAX_CHANGES:
        notes.append(f"Left out {len(items) - MAX_CHANGES} changes: at most {MAX_CHANGES} are allowed.")
    return changes, notes


def value_at(state: State, path: str) -> JsonValue:
    """What ``state`` holds at the dotted ``path``; ``None`` for nothing."""
    found: JsonValue = state
    for key in path.split("."):
        if not isinstance(found, dict) or key not in found:
            return None
        found = found[key]
    return found


def with_was(changes: Iterable[Change], state: State) -> list[Change]:
    """The changes with ``was`` from the ``state`` their author saw, where the author did not say it."""
    return [
        change if change.claims else change.model_copy(update={"was": deepcopy(value_at(state, change.path))})
        for change in changes
    ]


def conflicts(changes: Iterable[Change], state: State) -> list[Conflict]:
    """Where ``state`` is no longer what the authors saw."""
    seen = [(change, value_at(state, change.path)) for change in changes if change.claims]
    return [{"path": change.path, "was": change.was, "now": now} for change, now in seen if not _same(change.was, now)]


def apply(changes: Iterable[Change], state: State) -> State:
    """A new state after all ``changes`` in order. ``ChangeError`` at the first that does not fit."""
    after = deepcopy(state)
    for change in changes:
        _APPLY[change.op](after, change)
    return after


def fitting(changes: Iterable[Change], state: State) -> tuple[list[Change], list[str]]:
    """Those changes that can be applied to ``state`` one after another, and a note on each of the others."""
    after = deepcopy(state)
    kept: list[Change] = []
    notes: list[str] = []
    for change in changes:
        try:
            _APPLY[change.op](after, change)
        except ChangeError as error:
            notes.append(_left_out({"path": error.path}, error.reason))
        else:
            kept.append(change)
    return kept, notes


def _items(raw: object) -> Sequence[object] | None:
    if raw is None:
        return []
    if isinstance(raw, dict):
        raw = raw.get("changes", [raw])
    return raw if isinstance(raw, list) else None


def _known_fields(item: object) -> object:
    if not isinstance(item, dict):
        return item
    return {name: item[name] for name in Change.model_fields if name in item}


def _left_out(item: object, reason: str) -> str:
    where = item.get("path", "") if isinstance(item, dict) else ""
    named = f"“{where[:60]}”" if isinstance(where, str) and where else "a change"
    return UNCLEAN.sub("�", f"Left out {named}: {reason}")[:MAX_NOTE_CHARACTERS]


def _set(state: State, change: Change) -> None:
    holder, key = _holder(state, change.path, create=True)
    holder[key] = deepcopy(change.value)


def _add(state: State, change: Change) -> None:
    holder, key = _holder(state, change.path)
    there = holder.get(key)
    if isinstance(there, list):
        there.append(deepcopy(change.value))
    elif _is_number(there):
        holder[key] = _sum(there, change)
    else:
        raise ChangeError(change.path, f"add needs a number or a list there, not {_kind(there)}")


def _sum(there: Any, change: Change) -> JsonValue:
    if not _is_number(change.value):
        raise ChangeError(change.path, f"only a number can be added to a number, not {_kind(change.value)}")
    try:
        total: int | float = there + change.value
    except OverflowError:
        total = inf
    if not _is_finite(total):
        raise ChangeError(change.path, "the sum is too large")
    return total


def _remove(state: State, change: Change) -> None:
    holder, key = _holder(state, change.path)
    if key not in holder:
        raise ChangeError(change.path, "there is nothing to remove")
    if change.value is None:
        del holder[key]
        return
    there = holder[key]
    if not isinstance(there, list):
        raise ChangeError(change.path, f"a value can only be taken out of a list, not {_kind(there)}")
    place = next((n for n, item in enumerate(there) if _same(item, change.value)), None)
    if place is None:
        raise ChangeError(change.path, "the list does not have that value")
    del there[place]


_APPLY = {"set": _set, "add": _add, "remove": _remove}


def _holder(state: State, path: str, *, create: bool = False) -> tuple[State, str]:
    """The object that holds the path's last key; with ``create``, made where it is missing."""
    *parents, last = path.split(".")
    holder = state
    for depth, key in enumerate(parents, start=1):
        inner = holder.setdefault(key, {}) if create else holder.get(key)
        if not isinstance(inner, dict):
            raise ChangeError(path, f"“{'.'.join(parents[:depth])}” is {_kind(inner)}, not an object")
        holder = inner
    return holder, last


def _same(one: JsonValue, other: JsonValue) -> bool:
    """Equal as JSON: 1 is 1.0, as a database may write either, but never true."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return one == other


def _is_number(value: JsonValue) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_finite(number: float) -> bool:
    try:
        return isfinite(number)
    except OverflowError:  # an integer beyond every float
        return False


def _kind(value: JsonValue) -> str:
    if isinstance(value, bool):
        return "true or false"
    names = {dict: "an object", list: "a list", str: "text", int: "a number", float: "a number"}
    return names.get(type(value), "nothing")
