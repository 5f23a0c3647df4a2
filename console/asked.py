"""A request of one's own, and how it stands in words."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from console import notices
from console.api import Kind

OPEN = ("sending", "queued", "processing", "awaiting_approval")


@dataclass
class Asked:
    """One request of ours. The same ``key`` again is the same request."""

    kind: Kind
    text: str
    key: str = field(default_factory=lambda: str(uuid4()))
    id: str = ""
    status: str = "sending"
    position: int | None = None
    heard_at: float = field(default_factory=time.monotonic)
    overdue: bool = False

    def hear(self) -> None:
        """Something was heard of it, just now."""
        self.heard_at, self.overdue = time.monotonic(), False


def in_words(asked: Asked, about: dict[str, Any]) -> tuple[notices.Kind, str]:
    """What is to be said of its status; ``about`` is the event or the answer that told of it."""
    match asked.status:
        case "queued" if asked.position:
            return "status", f"in line, {asked.position} ahead"
        case "queued":
            return "status", "in line, next"
        case "processing":
            return "status", "processing…"
        case "awaiting_approval":
            return "status", "a DM is deciding…"
        case "rejected":
            reason = (about.get("result") or {}).get("reason")
            return "status", f"not this time: {reason or 'no reason was given'}"
        case "failed":
            error = about.get("error") or {}
            return "error", f"it failed: {error.get('detail') or 'no reason was given'} (retry: Ctrl+R or /retry)"
        case "cancelled":
            return "status", "called off"
        case "completed":
            return "status", "done"
    return "status", asked.status
