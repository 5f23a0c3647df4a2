"""Tags: words that callers and job types put on jobs, for operators to find them by."""

from __future__ import annotations

import re
from collections.abc import Iterable

from jobs.errors import Invalid

TAG_CHARACTERS = 50
TAGS = 20
"""The most tags of one job."""

TAG = re.compile(rf"[\w.:/@+-]{{1,{TAG_CHARACTERS}}}")


def checked(tags: Iterable[str]) -> tuple[str, ...]:
    """The tags, each once, in order; ``Invalid`` for what is none and for too many."""
    found = tuple(dict.fromkeys(tags))
    if wrong := [tag for tag in found if not TAG.fullmatch(tag)]:
        reason = f"1 to {TAG_CHARACTERS} letters, digits and .:/@+-_ each"
        raise Invalid(f"{wrong[0]!r} is no tag", fields={"tags": reason})
    if len(found) > TAGS:
        raise Invalid(f"at most {TAGS} tags", fields={"tags": f"at most {TAGS}"})
    return found
