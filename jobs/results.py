"""What a handler has decided about, what it may get from that, and how it says that a person said no."""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import BaseModel

from jobs.changes import Change
from jobs.storable import require_storable


def drafted(draft: BaseModel) -> dict[str, Any]:
    """A draft as JSON; ``PermanentError`` if the databases can't keep it."""
    body = draft.model_dump(mode="json")
    require_storable("draft", "the draft", body, json.dumps(body))
    return body


class Rejected(BaseModel):
    """A completed request that was refused by a decision: the job's outcome becomes ``rejected``."""

    rejected: Literal[True] = True
    reason: str
    """What the one who asked is told."""


class Ruling(BaseModel):
    """What was decided about a draft: by a person, or by the system when the time was up or nobody is asked.

    ``text`` and ``changes`` are what now holds: the draft as it was, as it was edited, or as it was written anew.
    ``regenerate`` asks for another draft that takes ``reason`` into account.
    """

    decision: Literal["accept", "modify", "reject", "take_over"]
    version: int
    text: str = ""
    changes: list[Change] = []
    reason: str = ""
    regenerate: bool = False
    by: str = ""
