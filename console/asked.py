"""A request of one's own, and how it stands in words."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from uuid import uuid4

from console import notices
from console.api import Kind
from console.errors import Odd
from console.shapes import Shape

ENDED = ("completed", "rejected", "failed", "cancelled")


@dataclass
class Asked:
    """One request of ours. The same ``key`` again is the same request.

    ``behind`` names the request that it stands in line behind while a person decides on that one.
    """

    kind: Kind
    text: str
    key: str = field(default_factory=lambda: str(uuid4()))
    id: str = ""
    status: str = "sending"
    position: int | None = None
    behind: str = ""
    heard_at: float = field(default_factory=time.monotonic)
    overdue: bool = False

    @property
    def open(self) -> bool:
        """Whether there is more to come; so it is with a status that only another version knows."""
        return self.status not in ENDED

    @property
    def arrived(self) -> bool:
        """Whether the server has it and can be asked."""
        return bool(self.id) and self.status != "sending"

    def hear(self) -> None:
        """Something was heard of it, just now."""
        self.heard_at, self.overdue = time.monotonic(), False

    @property
    def silent_seconds(self) -> float:
        return time.monotonic() - self.heard_at

    @property
    def waits_for_a_person(self) -> bool:
        """People take their time, and the server sees to it that they don't take for ever."""
        return self.status == "awaiting_approval" or bool(self.behind)


def held_by(answer: Shape) -> str:
    """Whose request holds up the one that this answer tells of, if a person decides on that."""
    first = answer.maybe_inner("blocked_by")
    if first is None or first.text("status") != "awaiting_approval":
        return ""
    player = first.maybe_text("player")
    return f"{player}'s request" if player else "another request"


def place(asked: Asked) -> str:
    """Where in line it stands."""
    match asked.position:
        case None:
            where = "in line"
        case 0:
            where = "in line, next"
        case ahead:
            where = f"in line, {ahead} ahead"
    return f"{where}, waiting for a decision on {asked.behind}" if asked.behind else where


def in_words(asked: Asked, about: Shape) -> tuple[notices.Kind, str]:
    """What is to be said of its status; ``about`` is the event's data or the answer that told of it."""
    match asked.status:
        case "queued":
            return "status", place(asked)
        case "processing":
            return "status", "processing…"
        case "awaiting_approval":
            return "status", "a DM is deciding…"
        case "rejected":
            return "status", f"not this time: {_told(about, 'result', 'reason')}"
        case "failed":
            return "error", f"it failed: {_told(about, 'error', 'detail')} (retry: Ctrl+R or /retry)"
        case "cancelled":
            return "status", "called off"
        case "completed":
            return "status", "done"
    return "status", asked.status


def _told(about: Shape, part: str, name: str) -> str:
    try:
        return about.inner(part).text(name)
    except Odd:
        return "no reason was given"
