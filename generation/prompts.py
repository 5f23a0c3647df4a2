"""What a storyteller is asked."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, JsonValue


class Prompt(BaseModel):
    """One action to be told: by whom, where the story stands, and what a former draft should have done better.

    ``scene`` is the opening and the latest turns as text. ``feedback`` is the reason given for a new draft.
    ``round`` counts the drafts of one action from 1.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    scene: str
    state: dict[str, JsonValue]
    actor: str
    action: str
    feedback: str | None = None
    round: int = Field(1, ge=1)
