"""What the databases can keep: whole characters and finite numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from jobs.errors import PermanentError

UNUSABLE = "contains characters that can't be kept: NUL or half of a surrogate pair"
NOT_FINITE = "is not a finite number"

_UNUSABLE = re.compile("[\0\ud800-\udfff]")
_SUSPICIOUS = re.compile(r"\\u(0000|d[89a-f])|NaN|Infinity")
"""How JSON writes what may be unstorable, and what only looks like it."""


def is_storable(text: str) -> bool:
    """Whether PostgreSQL can store this text."""
    return _UNUSABLE.search(text) is None


def cleaned(text: str) -> str:
    """The text with a replacement character for each that can't be kept."""
    return _UNUSABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def mistakes(value: object, text: str) -> dict[str, str]:
    """By path, what in a JSON value can't be kept and why. ``text`` is the value as JSON, which mostly shows at once
    that there is nothing."""
    return dict(unstorable(value)) if _SUSPICIOUS.search(text) else {}


def told(what: str, wrong: dict[str, str]) -> str:
    """These mistakes of something in a sentence."""
    return "; ".join(f"{cleaned(path) or what} {why}" for path, why in wrong.items())


def require_storable(kind: str, what: str, value: object, text: str) -> None:
    """``PermanentError`` with code ``unstorable_<kind>`` if what a handler gave can't be kept; as for ``mistakes``."""
    if wrong := mistakes(value, text):
        raise PermanentError(f"unstorable_{kind}", told(what, wrong))


def unstorable(value: object, path: str = "") -> Iterator[tuple[str, str]]:
    """Where in a JSON value something stands that can't be kept, and why not."""
    match value:
        case str() if not is_storable(value):
            yield path, UNUSABLE
        case float() if not math.isfinite(value):
            yield path, NOT_FINITE
        case dict():
            for key, item in value.items():
                yield from unstorable(key, path)
                yield from unstorable(item, f"{path}.{key}" if path else str(key))
        case list():
            for index, item in enumerate(value):
                yield from unstorable(item, f"{path}.{index}" if path else str(index))
