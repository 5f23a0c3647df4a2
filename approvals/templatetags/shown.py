"""Text as it really is: what a reader could not see, or would see in another order, is written out."""

from __future__ import annotations

import json
import unicodedata

from django import template

register = template.Library()

HIDDEN = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})
PLAIN = frozenset("\n\t\u200c\u200d")
"""Shown as they are; the joiners are part of ordinary words and of emoji."""


@register.filter
def visible(text: object) -> str:
    """Control, direction and zero-width characters as ``[U+202E]``. The template escapes the rest."""
    return "".join(f"[U+{ord(mark):04X}]" if _is_hidden(mark) else mark for mark in str(text))


@register.filter
def as_json(value: object) -> str:
    """A value of the state as JSON, so that ``5`` and ``"5"`` differ."""
    return visible(json.dumps(value, ensure_ascii=False))


def _is_hidden(mark: str) -> bool:
    return mark not in PLAIN and unicodedata.category(mark) in HIDDEN
