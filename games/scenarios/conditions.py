"""When a story event happens: comparisons of the state and the turn, joined by all, any and not. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, JsonValue, Tag, ValidationError, model_validator
from typing_extensions import TypeIs

from jobs.changes import Change, State, value_at

TURN = "turn"
STATE = "state."
OPERATORS = ("is", "is_not", "above", "below", "at_least", "at_most", "contains", "exists")
MOST_PARTS = 20

Number = Annotated[float, Field(allow_inf_nan=False)]


class _Strict(BaseModel):
    """A misspelt key is a mistake, never silence."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Compare(_Strict):
    """One comparison: ``value`` is ``turn`` or ``state.<path>``, and exactly one operator goes with it.

    What is not there equals nothing, is no number, and contains nothing.
    """

    value: str
    is_: JsonValue = Field(None, alias="is")
    is_not: JsonValue = None
    above: Number | None = None
    below: Number | None = None
    at_least: Number | None = None
    at_most: Number | None = None
    contains: JsonValue = None
    exists: bool | None = None

    @model_validator(mode="after")
    def _has_one_operator(self) -> Self:
        if len(self.model_fields_set) != 2:
            raise ValueError(f"a comparison has a value and exactly one of {', '.join(OPERATORS)}")
        if self.value != TURN and not _is_path(self.value):
            raise ValueError("value is 'turn' or 'state.' and a path, as in state.party.gold")
        return self

    @property
    def path(self) -> str | None:
        """The path in the state, ``None`` for the turn."""
        return self.value.removeprefix(STATE) if self.value != TURN else None

    def holds(self, state: State, turn: int) -> bool:
        """Whether it is so."""
        found: JsonValue = turn if self.path is None else value_at(state, self.path)
        operator = next(iter(self.model_fields_set - {"value"}))
        wanted: JsonValue = getattr(self, operator)
        match operator:
            case "is_":
                return _same(found, wanted)
            case "is_not":
                return not _same(found, wanted)
            case "exists":
                return (found is not None) is wanted
            case "contains":
                return _contains(found, wanted)
        return _is_number(found) and _is_number(wanted) and _ordered(operator, found, wanted)


class All(_Strict):
    """Every part holds."""

    all: list[Condition] = Field(min_length=1, max_length=MOST_PARTS)

    def holds(self, state: State, turn: int) -> bool:
        return all(part.holds(state, turn) for part in self.all)


class Any(_Strict):
    """At least one part holds."""

    any: list[Condition] = Field(min_length=1, max_length=MOST_PARTS)

    def holds(self, state: State, turn: int) -> bool:
        return any(part.holds(state, turn) for part in self.any)


class Not(_Strict):
    """The part does not hold."""

    not_: Condition = Field(alias="not")

    def holds(self, state: State, turn: int) -> bool:
        return not self.not_.holds(state, turn)


KINDS = {"all": "<all>", "any": "<any>", "not": "<not>"}
"""Tags in angle brackets, which no key of a file can be taken for."""


def _kind(raw: object) -> str | None:
    """Which of the four a condition is, by the key it has in a file, or by its class."""
    if isinstance(raw, _Strict):
        return KINDS.get(type(raw).__name__.lower(), "<value>")
    if not isinstance(raw, dict):
        return None
    return next((kind for key, kind in KINDS.items() if key in raw), "<value>")


Condition = Annotated[
    Annotated[All, Tag("<all>")]
    | Annotated[Any, Tag("<any>")]
    | Annotated[Not, Tag("<not>")]
    | Annotated[Compare, Tag("<value>")],
    Discriminator(
        _kind,
        custom_error_type="condition",
        custom_error_message="a condition is {all: […]}, {any: […]}, {not: …} or {value: …, is: …}",
    ),
]

All.model_rebuild()
Any.model_rebuild()
Not.model_rebuild()


def comparisons(condition: Condition) -> Iterator[Compare]:
    """Every comparison in it."""
    match condition:
        case Compare():
            yield condition
        case Not(not_=part):
            yield from comparisons(part)
        case All(all=parts) | Any(any=parts):
            for part in parts:
                yield from comparisons(part)


def _is_path(value: str) -> bool:
    if not value.startswith(STATE):
        return False
    try:
        Change(path=value.removeprefix(STATE), op="remove")
    except ValidationError:
        return False
    return True


def _same(one: JsonValue, other: JsonValue) -> bool:
    """Equal as JSON: 1 is 1.0, but never true."""
    return one is other if isinstance(one, bool) or isinstance(other, bool) else one == other


def _contains(found: JsonValue, wanted: JsonValue) -> bool:
    if isinstance(found, list):
        return any(_same(item, wanted) for item in found)
    return isinstance(found, str | dict) and isinstance(wanted, str) and wanted in found


def _is_number(found: JsonValue) -> TypeIs[float]:
    return isinstance(found, int | float) and not isinstance(found, bool)


def _ordered(operator: str, found: float, wanted: float) -> bool:
    match operator:
        case "above":
            return found > wanted
        case "below":
            return found < wanted
        case "at_least":
            return found >= wanted
    return found <= wanted
