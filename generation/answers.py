"""Reading what a model wrote: the narration, and the changes in a fenced JSON block at its end."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

OPENING = re.compile(r"```[ \t]*json\b", re.IGNORECASE)
FENCE = "```"
BARE = re.compile(r"^[ \t]*[\[{]", re.MULTILINE)
MAX_BARE_STARTS = 20
THINKING = re.compile(r"\A\s*<think>.*?(?:</think>|\Z)", re.DOTALL)
TRAILING_COMMA = re.compile(r"""("(?:[^"\\]++|\\.)*+"?)|,(?=\s*[\]}])""", re.DOTALL)
"""Or a text, group 1, in which what looks like one stays. One that never ends is read but once."""


class Answer(NamedTuple):
    """A narration, the proposed changes as parsed JSON of any shape, and what could not be read."""

    text: str
    proposed: Any
    notes: list[str]


def read_answer(written: str) -> Answer:
    """Take apart whatever a model wrote. Small models forget the fence, leave it open or break the JSON.

    Never raises: without a readable block there are no changes, and a note if there was an unreadable one.
    """
    told = THINKING.sub("", written)
    text, block = _split_at_fence(told)
    if block is None:
        return _with_bare_json(told)
    try:
        return Answer(text, _parse(block), [])
    except ValueError:
        return Answer(text, None, ["The proposed changes could not be read, and were left out."])


def read_arguments(written: str) -> Any:
    """What a tool was called with, as parsed JSON of any shape; as text where it is not even JSON."""
    try:
        return _parse(written)
    except ValueError:
        return written


def _split_at_fence(told: str) -> tuple[str, str | None]:
    openings = list(OPENING.finditer(told))
    if openings:
        block, _, after = told[openings[-1].end() :].partition(FENCE)
        return f"{told[: openings[-1].start()].rstrip()}\n\n{after.strip()}".strip(), block
    before, *rest = told.rsplit(FENCE, 2)
    return (f"{before.rstrip()}\n\n{rest[1].strip()}".strip(), rest[0]) if len(rest) == 2 else (told, None)


def _with_bare_json(told: str) -> Answer:
    for start in [match.start() for match in BARE.finditer(told)][:MAX_BARE_STARTS]:
        try:
            return Answer(told[:start].strip(), _parse(told[start:]), [])
        except ValueError:
            continue
    return Answer(told.strip(), None, [])


def _parse(block: str) -> Any:
    """``ValueError`` for what is no JSON, also with a comma too many or nested beyond all measure."""
    try:
        return json.loads(TRAILING_COMMA.sub(r"\1", block))
    except RecursionError:
        raise ValueError("nested too deeply") from None
