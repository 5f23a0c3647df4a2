"""How many tokens a text takes, about. Each model cuts text its own way, so this is rather too many than too few."""

from __future__ import annotations

import re

PIECES = re.compile(r"[A-Za-z]+|\d|[^\W\d_A-Za-z]+|\n+|[^\S\n]{2,}|[^\w\s]|_")
LETTERS_PER_TOKEN = 4
BYTES_PER_TOKEN = 2


def estimate_tokens(text: str) -> int:
    """Four letters of English are a token, two bytes of other letters; each digit and sign is one by itself.

    Meant to be rather too many than too few; what it really was, a provider says afterwards (``Draft.usage``).
    """
    return sum(map(_cost, PIECES.findall(text)))


def _cost(piece: str) -> int:
    if piece.isascii() or piece.isspace():
        return -(-len(piece) // LETTERS_PER_TOKEN)
    return -(-len(piece.encode(errors="replace")) // BYTES_PER_TOKEN)
