"""The decision forms as a browser posts them, with or without JavaScript."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.http import QueryDict

from approvals.states import Decision
from approvals.verdicts import WRITTEN
from jobs.changes import Change
from jobs.errors import Invalid

BLANK_ROWS = 2
LONGEST_NUMBER = 9
JSON_STARTS = ("{", "[", '"')
LEFT_OUT = ""
"""The choice in a row's list of operations that drops the change."""


class Row(NamedTuple):
    """A change as it is typed: JSON in ``value``, or text as it is."""

    path: str = ""
    op: str = "set"
    value: str = ""


@dataclass(frozen=True, kw_only=True)
class DecisionForm:
    """What was filled in."""

    version: str = ""
    decision: str = ""
    text: str = ""
    reason: str = ""
    regenerate: bool = False
    rows: tuple[Row, ...] = ()

    @classmethod
    def posted(cls, post: QueryDict) -> DecisionForm:
        """What a browser sent; rows left blank are dropped."""
        typed = zip(post.getlist("path"), post.getlist("op"), post.getlist("value"), strict=False)
        rows = (Row(path.strip(), op, value.strip()) for path, op, value in typed)
        return cls(
            version=post.get("version", ""),
            decision=post.get("decision", ""),
            text=post.get("text", ""),
            reason=post.get("reason", ""),
            regenerate=post.get("regenerate") == "1",
            rows=tuple(row for row in rows if row.path or row.value),
        )

    def said(self) -> dict[str, Any]:
        """The arguments of ``operations.decide``, not yet checked. ``Invalid`` for what can't be read."""
        if not self.version.isascii() or not self.version.isdigit() or len(self.version) > LONGEST_NUMBER:
            raise Invalid("reload the page: its version is missing", fields={"version": "is not a number"})
        said: dict[str, Any] = {"version": int(self.version), "decision": self.decision, "reason": self.reason}
        if self.decision in WRITTEN:
            said |= {"text": self.text, "changes": _changes(self.rows)}
        return said | {"regenerate": self.regenerate and self.decision == Decision.REJECT}


def rows_of(changes: Sequence[Change]) -> tuple[Row, ...]:
    """Changes as rows to edit."""
    return tuple(Row(change.path, change.op, _typed(change)) for change in changes)


def padded(rows: Sequence[Row]) -> list[Row]:
    """The rows, and blank ones to fill in."""
    return [*rows, *[Row()] * BLANK_ROWS]


def _typed(change: Change) -> str:
    """How a person would type the value, so that reading it back gives the same."""
    if "value" not in change.model_fields_set or (change.op == "remove" and change.value is None):
        return ""
    text = change.value
    if isinstance(text, str) and text and _read(text) is text and text == text.strip() and text[0] not in '{["':
        return text
    return json.dumps(text, ensure_ascii=False)


def _changes(rows: Sequence[Row]) -> list[dict[str, Any]]:
    kept = [row for row in rows if row.op != LEFT_OUT]
    mistakes: dict[str, str] = {}
    changes = [_change(row, f"changes.{place}.value", mistakes) for place, row in enumerate(kept)]
    if mistakes:
        raise Invalid("; ".join(f"{path} {reason}" for path, reason in mistakes.items()), fields=mistakes)
    return changes


def _change(row: Row, path: str, mistakes: dict[str, str]) -> dict[str, Any]:
    change: dict[str, Any] = {"path": row.path, "op": row.op}
    if row.value:
        change["value"] = value = _read(row.value)
        if value is row.value and row.value.startswith(JSON_STARTS):
            mistakes[path] = "begins like JSON and isn't: close it, or put all of it in quotes"
    return change


def _read(text: str) -> Any:
    """What the text says as JSON, or the text itself."""
    try:
        return json.loads(text) if text else text
    except (ValueError, RecursionError):
        return text
