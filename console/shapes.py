"""What a server says, held to shapes that this client can use: it may be of another version, or none of ours."""

from __future__ import annotations

import json
import re
from typing import Any

from console.errors import Odd

DEEPEST = 50
ID = re.compile(r"[\w-]{1,64}", re.ASCII)


def parsed(raw: str | bytes) -> Any:
    """JSON; ``Odd`` for anything else, and for what is nested deeper than anything of ours."""
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        raise Odd("something else than JSON") from None
    level = [value]
    for _ in range(DEEPEST):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return value
    raise Odd("JSON that is nested without end")


def _inside(value: Any) -> list[Any]:
    match value:
        case dict():
            return [*value.values()]
        case list():
            return value
    return []


class Shape:
    """A JSON object, read field by field. ``Odd`` names the field that is missing or of another type."""

    def __init__(self, value: Any, what: str) -> None:
        if not isinstance(value, dict):
            raise Odd(f"{what} is no object")
        self.value: dict[str, Any] = value
        self._what = what

    def text(self, name: str) -> str:
        found: str = self._of(str, name)
        return found

    def number(self, name: str) -> int:
        found: int = self._of(int, name)
        return found

    def id(self, name: str) -> str:
        """Text that an address may hold."""
        found = self.text(name)
        if not ID.fullmatch(found):
            raise self._odd(name)
        return found

    def maybe_text(self, name: str) -> str | None:
        """``None`` where it is null, or not there."""
        return None if self.value.get(name) is None else self.text(name)

    def maybe_number(self, name: str) -> int | None:
        """``None`` where it is null, or not there."""
        return None if self.value.get(name) is None else self.number(name)

    def inner(self, name: str) -> Shape:
        return Shape(self.value.get(name), f"{self._what}.{name}")

    def maybe_inner(self, name: str) -> Shape | None:
        """``None`` where it is null, or not there."""
        return None if self.value.get(name) is None else self.inner(name)

    def each(self, name: str) -> list[Shape]:
        """The objects of a list."""
        return [Shape(each, f"{self._what}.{name}") for each in self._of(list, name)]

    def _of(self, kind: type[Any], name: str) -> Any:
        found = self.value.get(name)
        if not isinstance(found, kind) or isinstance(found, bool):
            raise self._odd(name)
        return found

    def _odd(self, name: str) -> Odd:
        return Odd(f"{self._what}.{name} is missing or not as expected")
