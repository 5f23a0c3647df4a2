"""What a scenario file says, once it has been read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, NamedTuple, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, StringConstraints, model_validator

from games.scenarios.conditions import Condition, comparisons
from jobs import state_schema
from jobs.changes import KEY, MAX_DEPTH, UNCLEAN, State, value_at

MOST_EVENTS = 200
MOST_CHARACTERS = 50
OPENING_CHARACTERS = 8000
ABOUT_CHARACTERS = 2000


class Mistake(NamedTuple):
    """What is wrong at a dotted path of the file."""

    path: str
    reason: str


def _clean(text: str) -> str:
    if UNCLEAN.search(text):
        raise ValueError("has control characters")
    return text


def _text(most: int) -> Any:
    return Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=1, max_length=most), AfterValidator(_clean)
    ]


class _Strict(BaseModel):
    """A misspelt key is a mistake, never silence."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Character(_Strict):
    """Someone whom the storyteller plays."""

    name: _text(100)  # type: ignore[valid-type]
    about: _text(ABOUT_CHARACTERS)  # type: ignore[valid-type]


class Event(_Strict):
    """Something that happens by itself once ``when`` holds, told from ``prompt``.

    ``once``: never again after that. Otherwise whenever it holds, but at least ``cooldown`` turns after the last time.
    """

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,99}$")
    title: _text(200)  # type: ignore[valid-type]
    when: Condition
    prompt: _text(ABOUT_CHARACTERS)  # type: ignore[valid-type]
    once: bool = True
    cooldown: int = Field(1, ge=1, le=10_000)

    @model_validator(mode="after")
    def _cools_down_only_if_it_repeats(self) -> Self:
        if self.once and "cooldown" in self.model_fields_set:
            raise ValueError("a cooldown needs once: false")
        return self

    def due(self, state: State, turn: int, last_turn: int | None) -> bool:
        """Whether it happens now. ``last_turn`` is when it happened last, ``None`` if it never did."""
        if last_turn is not None and (self.once or turn < last_turn + self.cooldown):
            return False
        return self.when.holds(state, turn)


class Document(_Strict):
    """A scenario: how the story begins, how it is told, and what happens in it by itself."""

    name: _text(200)  # type: ignore[valid-type]
    opening: _text(OPENING_CHARACTERS)  # type: ignore[valid-type]
    style: str = Field("", max_length=ABOUT_CHARACTERS)
    characters: list[Character] = Field([], max_length=MOST_CHARACTERS)
    state: dict[str, JsonValue] = {}
    state_schema: dict[str, Any] = Field({}, alias="schema")
    events: list[Event] = Field([], max_length=MOST_EVENTS)

    def mistakes(self) -> Iterator[Mistake]:
        """What is wrong although each part by itself is not."""
        broken = [Mistake(_joined("schema", path), reason) for path, reason in state_schema.mistakes(self.state_schema)]
        yield from broken
        yield from (Mistake(_joined("state", path), reason) for path, reason in _unreachable(self.state))
        if not broken:
            for path, reason in state_schema.breaches(self.state, self.state_schema):
                yield Mistake(_joined("state", path), f"is not as the schema says: {reason}")
        yield from self._events()

    def _events(self) -> Iterator[Mistake]:
        seen: dict[str, int] = {}
        for number, event in enumerate(self.events):
            if event.id in seen:
                yield Mistake(f"events.{number}.id", f"events.{seen[event.id]} has this id already")
            seen.setdefault(event.id, number)
            for path in {compared.path for compared in comparisons(event.when)} - {None}:
                if path and not self._knows(path):
                    yield Mistake(f"events.{number}.when", f"nothing in the state or its schema is called {path}")

    def _knows(self, path: str) -> bool:
        return value_at(self.state, path) is not None or state_schema.declares(self.state_schema, path)


def _unreachable(state: State, *above: str) -> Iterator[Mistake]:
    """Keys that no change could name."""
    for key, value in state.items():
        path = ".".join((*above, key))
        if not KEY.fullmatch(key):
            yield Mistake(".".join(above), f"the key {key[:60]!r} is not letters, digits, _ and - only")
        elif len(above) >= MAX_DEPTH:
            yield Mistake(path, f"is nested deeper than {MAX_DEPTH} levels")
        elif isinstance(value, dict):
            yield from _unreachable(value, *above, key)


def _joined(first: str, path: str) -> str:
    return f"{first}.{path}" if path else first
