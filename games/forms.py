"""The action form as a browser posts it, with or without JavaScript."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.http import QueryDict
from uuid6 import uuid7

from jobs.changes import value_at
from jobs.errors import Invalid

BLANK_ROWS = 3


class Row(NamedTuple):
    """A change as it is typed: JSON in ``value``, or text as it is."""

    path: str = ""
    op: str = "set"
    value: str = ""


@dataclass(frozen=True, kw_only=True)
class ActionForm:
    """``key`` makes a form that is sent twice one request; ``shown`` is the state that its page showed, as JSON.

    ``chats``: it is said, not done.
    """

    text: str = ""
    chats: bool = False
    rows: tuple[Row, ...] = ()
    shown: str = ""
    key: str = field(default_factory=lambda: str(uuid7()))

    @classmethod
    def posted(cls, post: QueryDict) -> ActionForm:
        """What was filled in; rows left blank are dropped."""
        typed = zip(post.getlist("path"), post.getlist("op"), post.getlist("value"), strict=False)
        rows = (Row(path.strip(), op, value.strip()) for path, op, value in typed)
        return cls(
            text=post.get("text", ""),
            chats=post.get("ask") == "chat",
            rows=tuple(row for row in rows if row.path or row.value),
            shown=post.get("shown", ""),
            key=post.get("key", ""),
        )

    def again(self) -> ActionForm:
        """The same to be sent anew."""
        return ActionForm(text=self.text, rows=self.rows)

    @property
    def padded(self) -> list[Row]:
        """The rows, and blank ones to fill in."""
        return [*self.rows, *[Row()] * max(BLANK_ROWS - len(self.rows), 1)]

    def changes(self) -> list[dict[str, Any]]:
        """The rows as changes, not yet checked; each says what the page showed at its path. ``Invalid``."""
        if not self.rows:
            return []
        shown = _json(self.shown)
        if not isinstance(shown, dict):
            raise Invalid("shown: is not the state of a page; reload it", fields={"shown": "is not a state"})
        return [_change(row, shown) for row in self.rows]


def _change(row: Row, shown: dict[str, Any]) -> dict[str, Any]:
    change: dict[str, Any] = {"path": row.path, "op": row.op, "was": value_at(shown, row.path)}
    if row.value:
        value = _json(row.value)
        change["value"] = row.value if value is None and row.value != "null" else value
    return change


def _json(text: str) -> Any:
    """What the text says as JSON; ``None`` if it is not JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
