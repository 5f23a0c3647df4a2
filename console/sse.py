"""Server-sent events, read from bytes as they come (WHATWG HTML 9.2)."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import Any, NamedTuple

from console.errors import Odd
from console.shapes import parsed

LONGEST = 1_048_576


class Event(NamedTuple):
    """One event. ``name`` is empty for an ``id`` alone, which tells only how far the stream is."""

    id: str
    name: str
    data: Any


class Reader:
    """Gives back the events that are complete; one that is cut off at the end was never there."""

    def __init__(self) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._rest = ""
        self._fields: dict[str, list[str]] = {}
        self._taken = 0
        self.id = ""

    def feed(self, raw: bytes) -> Iterator[Event]:
        """The events that these bytes end. ``Odd`` for one longer than any of ours."""
        text = self._rest + self._decode(raw).removeprefix("\ufeff")
        held = "\r" if text.endswith("\r") else ""  # its \n may be in the next bytes
        *lines, rest = text.removesuffix("\r").replace("\r\n", "\n").replace("\r", "\n").split("\n")
        self._rest = rest + held
        if len(self._rest) > LONGEST:
            raise Odd("the server sent a line without an end")
        for line in lines:
            if line:
                self._take(line)
            elif event := self._event():
                yield event

    def _take(self, line: str) -> None:
        self._taken += len(line)
        if self._taken > LONGEST:
            raise Odd("the server sent an event without an end")
        name, _, value = line.partition(":")
        if name:
            self._fields.setdefault(name, []).append(value.removeprefix(" "))
        if name == "id" and "\0" not in value:
            self.id = self._fields["id"][-1]

    def _event(self) -> Event | None:
        fields, self._fields, self._taken = self._fields, {}, 0
        if "data" in fields:
            return Event(self.id, fields.get("event", ["message"])[-1] or "message", _json("\n".join(fields["data"])))
        return Event(self.id, "", None) if "id" in fields else None


def _json(text: str) -> Any:
    try:
        return parsed(text)
    except Odd:
        return text
