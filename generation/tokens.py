"""How many tokens a text takes, about. Each model cuts text its own way, so this is rather too many than too few."""

from __future__ import annotations

import re

TOKEN = re.compile(
    r"[b-df-hj-np-tv-xz]{3}"  # few words begin so: letters at random, which no vocabulary knows
    r"|[A-Z]?[a-z]{1,5}|[A-Z]{1,3}"
    r"|[!-/:-@\[-`{-~]{1,2}"
    r"|\n+|[^\S\n]{2,16}"
    r"|[\u0400-\u052f]{1,2}"  # Cyrillic
    r"|[^ ]"  # a digit, a letter of any other script, any other sign
)
DENSE = re.compile(r"[\u3400-\u9fff]{1,2}|[\U00010000-\U0010ffff]")
"""Ideographs take half a token more than one, emoji a whole."""


def estimate_tokens(text: str) -> int:
    """The pieces of a text that a model would take for one token, about; docs/story.md has how near that is.

    What it really was, a provider says afterwards (``Draft.usage``).
    """
    return len(TOKEN.findall(text)) + len(DENSE.findall(text))
