"""The part of an answer that is for people, while it is being written: without thinking, without the changes."""

from __future__ import annotations

import re

THINK, THOUGHT = "<think>", "</think>"
BLOCK = re.compile(r"```|^[ \t]*[\[{]", re.MULTILINE)
MAYBE_BLOCK = re.compile(r"(?:`{1,2}|(?:\A|\n)[ \t]*)\Z")


class Narration:
    """Takes an answer piece by piece, and gives back what can be shown of it so far.

    What may yet turn out to be the beginning of a block of changes is held back until it is clear.
    """

    def __init__(self) -> None:
        self._held = ""
        self._last = ""  # the last character shown: what follows it begins no line
        self._begun = False
        self._thinks = False
        self._over = False

    def take(self, piece: str) -> str:
        """What to show now, after this piece."""
        if self._over:
            return ""
        self._held += piece
        if not self._begun and not self._begin():
            return ""
        text, start = self._last + self._held, len(self._last)
        if found := BLOCK.search(text, start):
            self._over = True
            return self._give(found.start() - start)
        maybe = MAYBE_BLOCK.search(text, start)
        return self._give((maybe.start() if maybe else len(text)) - start)

    def _begin(self) -> bool:
        """Whether the narration has begun; thinking before it is passed over, and is not kept in memory."""
        if self._thinks:
            _, ended, after = self._held.partition(THOUGHT)
            self._held = after if ended else self._held[-len(THOUGHT) :]
            self._thinks = not ended
        text = self._held.lstrip()
        if self._thinks or not text or (THINK.startswith(text) and text != THINK):
            return False
        if text.startswith(THINK):
            self._held, self._thinks = text.removeprefix(THINK), True
            return self._begin()
        self._held, self._begun = text, True
        return True

    def _give(self, end: int) -> str:
        shown, self._held = self._held[:end], self._held[end:]
        self._last = shown[-1:] or self._last
        return shown
