"""What is worth seeing now and not worth keeping: text as a model writes it, progress, a place in line.

It goes through Redis to those who watch, without a number, and is neither stored nor acted on. Whoever does not keep
up, or is not there, misses it: what counts comes as a numbered event.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from jobs.changes import clean

MESSAGE_TYPE = "ephemeral"

EPHEMERAL: dict[str, str] = {
    "chat.chunk": "Text as a model writes it: `attempt`, `index`, `content`, `done`.",
    "progress": "How far a handler is, in its own words.",
    "request.position": "Those ahead of a request have ended: `position` in its lane (0 = next).",
    "queue.status": "How the queues stand.",
}
"""Every passing event there is, and what it tells. Those that are kept are in ``jobs.events.vocabulary``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ephemeral:
    """One passing event. ``deciders_only``: it shows a draft, which nobody else may see before it was decided on.

    ``LookupError`` for an event that the vocabulary does not have.
    """

    event: str
    request_id: str | None
    kind: str = ""
    data: Mapping[str, Any]
    deciders_only: bool

    def __post_init__(self) -> None:
        if self.event not in EPHEMERAL:
            raise LookupError(f"no such event: {self.event!r}; jobs/ephemeral.py has them all")

    def message(self, scope_id: int) -> dict[str, Any]:
        """As it goes through the channel layer."""
        return {
            "type": MESSAGE_TYPE,
            "scope": scope_id,
            "event": self.event,
            "request_id": self.request_id,
            "kind": self.kind,
            "data": dict(self.data),
            "deciders_only": self.deciders_only,
        }

    @classmethod
    def from_message(cls, message: Mapping[str, Any]) -> Self:
        """Read back; an exception for what is none, since anyone on Redis may have written it."""
        return cls(
            event=message["event"],
            request_id=message["request_id"],
            kind=str(message["kind"]),
            data=dict(message["data"]),
            deciders_only=message["deciders_only"] is not False,
        )

    def frame(self) -> dict[str, Any]:
        """As viewers get it: an event without a number."""
        at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return {
            "event": self.event,
            "request_id": self.request_id,
            "kind": self.kind,
            "at": at,
            "data": dict(self.data),
        }


class Chunks:
    """The text that one claim of a job streams. What has come since the last ``take`` is one chunk, and ``clean``.

    ``attempt`` is the claim's number, so it grows whenever the text begins anew; ``index`` counts the chunks of it,
    and one that is left out was lost on the way.
    """

    def __init__(self, *, request_id: str, kind: str, attempt: int) -> None:
        self._of = (request_id, kind)
        self._attempt = attempt
        self._lock = threading.Lock()
        self._index = 0
        self._texts: list[str] = []
        self._done = False
        self._deciders_only = False

    def add(self, content: str, *, done: bool, deciders_only: bool) -> None:
        """More text; ``done`` with the last."""
        with self._lock:
            self._texts.append(content)
            self._done |= done
            self._deciders_only |= deciders_only

    def take(self) -> Ephemeral | None:
        """The next chunk; ``None`` if nothing to show was added."""
        with self._lock:
            if not self._texts:
                return None
            text, self._texts = "".join(self._texts), []
            if text.endswith("\r") and not self._done:
                text, self._texts = text[:-1], ["\r"]  # Its line feed may come with the next.
            if not (content := clean(text)) and not self._done:
                return None
            index, self._index = self._index, self._index + 1
            data = {"attempt": self._attempt, "index": index, "content": content, "done": self._done}
            request_id, kind = self._of
            return Ephemeral(
                event="chat.chunk", request_id=request_id, kind=kind, data=data, deciders_only=self._deciders_only
            )
