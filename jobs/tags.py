"""Tags: words that callers and job types put on jobs, for operators to find them by."""

from __future__ import annotations

import re
from collections.abc import Collection

TAG_CHARACTERS = 50
TAGS = 20
"""The most tags of one job."""

TAG = re.compile(rf"[\w.:/@+-]{{1,{TAG_CHARACTERS}}}")


def mistake(tags: Collection[str]) -> str:
    """Why these are no tags of one job; empty if they are."""
    if not all(TAG.fullmatch(tag) for tag in tags):
        return f"1 to {TAG_CHARACTERS} letters, digits and .:/@+-_ each"
    return f"at most {TAGS}" if len(tags) > TAGS else ""
