"""Faults on demand, so that every hard state can be shown: SCRIPTED_FAULTS, separated by commas.

``refuse@forbidden`` strikes when the action contains that word, ``refuse:0.1`` at one prompt in ten, always the same
ones. The first that fits is taken.

``refuse``           the storyteller will not answer: the request fails for good
``fail``             the storyteller fails; the next attempt passes
``busy``             too many requests: the next attempt, a second later, passes
``garbage``          the answer can't be read; the next attempt passes
``hang``             the answer never comes: LLM_TIMEOUT_SECONDS pass, each time
``cut_off``          the answer ends in the middle; the next attempt passes
``invalid_changes``  changes that can't be read or don't fit are proposed beside good ones, and left out with notes
``slow``             the answer takes ten times as long
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import NamedTuple

from generation.prompts import Prompt
from generation.scripted.tales import canonical

FAULTS = ("refuse", "fail", "busy", "garbage", "hang", "cut_off", "invalid_changes", "slow")
PART = re.compile(r"(?P<name>\w+)(?:@(?P<keyword>\w+)|:(?P<rate>\d*\.?\d+))")


class Fault(NamedTuple):
    """A fault, and when it strikes: at a ``keyword`` in the action, or at a share of all prompts (``rate``)."""

    name: str
    keyword: str
    rate: float

    def strikes(self, prompt: Prompt, seed: int) -> bool:
        """Whether this prompt meets the fault: the same each time."""
        if self.keyword:
            return bool(re.search(rf"\b{re.escape(self.keyword)}\b", prompt.action, re.IGNORECASE))
        digest = sha256(f"{seed} {self.name} {canonical(prompt)}".encode()).digest()
        return int.from_bytes(digest[:8]) / 2**64 < self.rate


def parse_faults(text: str) -> list[Fault]:
    """The faults that ``text`` lists. ``ValueError`` names the part that can't be read, and what is allowed."""
    return [_parse(part.strip()) for part in text.split(",") if part.strip()]


def striking(faults: list[Fault], prompt: Prompt, seed: int) -> str:
    """The name of the first fault that strikes, or nothing."""
    return next((fault.name for fault in faults if fault.strikes(prompt, seed)), "")


def _parse(part: str) -> Fault:
    found = PART.fullmatch(part)
    if found is None or found["name"] not in FAULTS:
        raise ValueError(f"{part!r}: allowed is fault:rate or fault@keyword, faults are {', '.join(FAULTS)}")
    rate = float(found["rate"] or 0)
    if found["rate"] and not 0 < rate <= 1:
        raise ValueError(f"{part!r}: allowed is a rate above 0, up to 1")
    return Fault(found["name"], found["keyword"] or "", rate)
