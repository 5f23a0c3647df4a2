"""Reading an action: what is tried, on what, in words that a narration can use."""

from __future__ import annotations

import re
import textwrap
from typing import NamedTuple

PHRASE_CHARACTERS = 110

VERBS = {
    "open": "open unlock unbar pry force unseal",
    "close": "close shut lock bar seal block",
    "search": "search look examine inspect investigate study explore check read listen watch find seek peer",
    "take": "take grab pick get collect steal pocket loot gather lift",
    "fight": "attack fight hit strike stab shoot punch kick charge defend slash swing throw",
    "talk": "talk say ask tell speak greet persuade convince shout whisper call question negotiate threaten sing",
    "sneak": "sneak hide creep slip crouch",
    "rest": "rest sleep wait camp heal eat drink sit bandage",
    "move": "go walk run move climb enter leave follow cross jump swim ride travel descend return step head push",
    "magic": "cast conjure summon enchant chant pray curse bless wish",
    "give": "give pay buy offer trade sell hand bribe donate",
    "light": "light ignite burn kindle",
    "break": "break smash destroy cut shatter wreck",
    "use": "use try put place pull turn press ring fix repair build make drop tie dig help",
}
THEMES = {verb: theme for theme, verbs in VERBS.items() for verb in verbs.split()}

LEAD = re.compile(
    r"(?:please\s+)?(?:(?:i|we)\s+(?:(?:will|want\s+to|try\s+to|attempt\s+to|decide\s+to)\s+)?"
    r"|i'll\s+|we'll\s+|let's\s+|let\s+me\s+|to\s+|try\s+to\s+)?",
    re.IGNORECASE,
)
PRONOUNS = {
    "i": "they", "me": "them", "my": "their", "mine": "theirs", "myself": "themselves",
    "we": "they", "us": "them", "our": "their", "ours": "theirs",
}  # fmt: skip
PRONOUN = re.compile(rf"\b(?:{'|'.join(PRONOUNS)})\b(?!')", re.IGNORECASE)
SENTENCE = re.compile(r"(?<=[.!?])\s")
OBJECT = re.compile(
    r"(?:up\s+|at\s+|for\s+|down\s+)?(?:(?:the|a|an|my|their|some|his|her)\s+)?(?P<name>[^,.;:!?]+?)"
    r"(?:\s+(?:from|off|out|with|and|in|into|on|at|up|under|to|of|behind|inside|near|before|for)\b.*|[,.;:!?].*)?$",
    re.IGNORECASE,
)


class Deed(NamedTuple):
    """An action as tried: ``phrase`` follows "tries to" if there is a ``theme``, else it is what was said."""

    theme: str
    phrase: str
    object: str
    words: frozenset[str]


def read_deed(action: str) -> Deed:
    """The first sentence of ``action``. The theme is empty when it begins with no verb we know."""
    first = SENTENCE.split(" ".join(action.split()), maxsplit=1)[0].strip()
    words = frozenset(re.findall(r"\w+", action.casefold()))
    base, rest = _verb(LEAD.sub("", first, count=1))
    if base not in THEMES:
        return Deed("", shorten(first), "", words)
    phrase = _in_third_person(f"{base} {rest}".rstrip(" .!?,;:…"))
    return Deed(THEMES[base], shorten(phrase), _object(rest), words)


def shorten(text: str) -> str:
    """``text`` on one line, cut to what a sentence can carry."""
    line = textwrap.shorten(text, PHRASE_CHARACTERS, placeholder=" …")
    return line if line != "…" else f"{text[: PHRASE_CHARACTERS - 1]}…"


def _verb(tried: str) -> tuple[str, str]:
    """The verb and what follows it, without an adverb before it ("carefully search")."""
    first, _, rest = tried.partition(" ")
    second, _, after = rest.partition(" ")
    if first.endswith("ly") and _base(second) in THEMES:
        return _base(second), after
    return _base(first), rest


def _base(verb: str) -> str:
    plain = verb.casefold().strip(",.;:!?")
    forms = (plain, plain.removesuffix("s"), plain.removesuffix("es"))
    return next((form for form in forms if form in THEMES), plain)


def _in_third_person(phrase: str) -> str:
    return PRONOUN.sub(lambda found: PRONOUNS[found[0].casefold()], phrase)


def _object(rest: str) -> str:
    found = OBJECT.match(rest)
    return found["name"].strip() if found else ""
