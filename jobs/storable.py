"""What the databases can keep: whole characters and finite numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

UNUSABLE = "contains characters that can't be kept: NUL or half of a surrogate pair"
NOT_FINITE = "is not a finite number"

_UNUSABLE = re.compile("[\0\ud800-\udfff]")


def is_storable(text: str) -> bool:
    """Whether PostgreSQL can store this text."""
    return _UNUSABLE.search(text) is None


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
