"""What a session tells its view, in the order in which it happens."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, Protocol

from console.shapes import Shape

Kind = Literal["story", "chunk", "status", "event", "state", "error", "connection"]

UNSHOWN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


@dataclass(frozen=True, kw_only=True)
class Notice:
    """One thing to show. ``text`` is a line for people; of a ``chunk`` it is what is new, ``whole`` all so far.

    ``live`` is a ``connection``'s: whether news come by a stream.
    """

    kind: Kind
    text: str
    request: str = ""
    whole: str = ""
    live: bool = False


class View(Protocol):
    """Where notices are shown: a terminal's screen, or lines."""

    def tell(self, notice: Notice) -> None: ...


def shown(text: str) -> str:
    """The text as a terminal may get it: whoever wrote it can't move the cursor, turn the line round, or do worse."""
    return UNSHOWN.sub("\ufffd", text.replace("\r\n", "\n"))


def told(turn: Shape) -> list[Notice]:
    """A turn as the API has it: who did what, what came of it, and what that changed."""
    request = turn.id("request_id")
    notices = [Notice(kind="state", text=change_text(change), request=request) for change in turn.each("changes")]
    if narration := turn.text("narration"):
        notices.insert(0, Notice(kind="story", text=narration, request=request))
    if action := turn.text("action"):
        actor = turn.maybe_text("actor") or "someone"
        notices.insert(0, Notice(kind="story", text=f"{actor}: {action}", request=request))
    return notices


def change_text(change: Shape) -> str:
    """A change of the state for people."""
    value, was = change.value.get("value"), change.value.get("was")
    match change.text("op"):
        case "set":
            return f"{change.text('path')}: {was} → {value}"
        case "add":
            return f"{change.text('path')}: {was} + {value}"
    return f"{change.text('path')}: - {was if value is None else value}"
