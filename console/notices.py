"""What a session tells its view, in the order in which it happens."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

Kind = Literal["story", "chunk", "status", "event", "state", "error", "connection"]

UNSHOWN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True, kw_only=True)
class Notice:
    """One thing to show. ``text`` is a line for people; of a ``chunk`` it is what is new, ``whole`` all so far."""

    kind: Kind
    text: str
    request: str = ""
    whole: str = ""
    data: dict[str, Any] = field(default_factory=dict)


class View(Protocol):
    """Where notices are shown: a terminal's screen, or lines."""

    def tell(self, notice: Notice) -> None: ...


def shown(text: str) -> str:
    """The text as a terminal may get it: whoever wrote it can't move the cursor, or do worse."""
    return UNSHOWN.sub("\ufffd", text.replace("\r\n", "\n"))


def told(turn: dict[str, Any]) -> Iterator[Notice]:
    """A turn as the API has it: who did what, what came of it, and what that changed."""
    request = str(turn.get("request_id", ""))
    if turn["action"]:
        yield Notice(kind="story", text=f"{turn['actor'] or 'someone'}: {turn['action']}", request=request, data=turn)
    if turn["narration"]:
        yield Notice(kind="story", text=turn["narration"], request=request, data=turn)
    for change in turn["changes"]:
        yield Notice(kind="state", text=change_text(change), request=request, data=change)


def change_text(change: dict[str, Any]) -> str:
    """A change of the state for people."""
    value, was = change.get("value"), change.get("was")
    match change["op"]:
        case "set":
            return f"{change['path']}: {was} → {value}"
        case "add":
            return f"{change['path']}: {was} + {value}"
    return f"{change['path']}: - {was if value is None else value}"
