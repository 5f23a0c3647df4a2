"""What a version proposes, and how an edit differs from it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from jobs.changes import Change

PIECES = (
    re.compile(r"\s*\w+|\s*[^\w\s]|\s+"),
    re.compile(r"[^.!?\n]*[.!?\n]+|[^.!?\n]+"),
    re.compile(r".+", re.DOTALL),
)
"""Words, each with the space before it; for long texts sentences; else the whole."""
MOST_PIECES = 3000
"""More are not compared one by one: the time grows with their square."""
LEAST_ALIKE = 0.4
"""Texts with less in common are shown one after the other; a patchwork of the two could not be read."""

Run = tuple[Literal["=", "-", "+"], str]
"""A stretch of text that was kept, taken out or put in."""


class Candidate(BaseModel):
    """One proposal: the text, the changes to the state, and what the reader should know about them."""

    model_config = ConfigDict(extra="ignore")

    text: str = ""
    changes: list[Change] = []
    notes: list[str] = []
    model: str = ""


def with_claims(changes: Sequence[Change], draft: Candidate) -> list[Change]:
    """The edited changes, each with the ``was`` that its author saw: the draft's, at the same path."""
    seen = {change.path: change.was for change in draft.changes if change.claims}
    return [
        change if change.claims or change.path not in seen else change.model_copy(update={"was": seen[change.path]})
        for change in changes
    ]


def difference(draft: Candidate, text: str, changes: Sequence[Change]) -> dict[str, Any]:
    """``{"text": [run, …], "changes": {"out": […], "in": […]}}``: what an edit did to the draft."""
    return {
        "text": list(word_runs(draft.text, text)),
        "changes": {"out": _missing(draft.changes, changes), "in": _missing(changes, draft.changes)},
    }


def word_runs(before: str, after: str) -> Iterator[Run]:
    """How one text becomes the other: word by word, or in larger pieces where it is long."""
    old, new = _pieces(before, after)
    matcher = SequenceMatcher(a=old, b=new)
    whole = [("replace", 0, len(old), 0, len(new))]
    for tag, i, j, k, n in matcher.get_opcodes() if matcher.ratio() >= LEAST_ALIKE else whole:
        if tag == "equal":
            yield "=", "".join(old[i:j])
            continue
        if i < j:
            yield "-", "".join(old[i:j])
        if k < n:
            yield "+", "".join(new[k:n])


def _pieces(before: str, after: str) -> tuple[list[str], list[str]]:
    cut = ((pattern.findall(before), pattern.findall(after)) for pattern in PIECES)
    return next((old, new) for old, new in cut if len(old) + len(new) <= MOST_PIECES)


def _missing(these: Sequence[Change], those: Sequence[Change]) -> list[dict[str, Any]]:
    there = {change.model_dump_json() for change in those}
    return [change.model_dump(mode="json") for change in these if change.model_dump_json() not in there]
