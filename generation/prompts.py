"""What a storyteller is asked."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue


class Prompt(BaseModel):
    """One turn to be told: of what kind, by whom, where the story stands, what a former draft should have done better.

    ``scene`` is the opening and the latest turns as text. ``action`` is what the actor does or says, or what happens by
    itself. ``state_schema`` is what the state has to keep to, empty for anything. ``feedback`` is the reason given for
    a new draft. ``round`` counts the drafts of one turn from 1.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["action", "chat", "story_event", "outline", "chapter"] = "action"
    scene: str
    state: dict[str, JsonValue]
    state_schema: dict[str, Any] = {}
    actor: str
    action: str
    feedback: str | None = None
    round: int = Field(1, ge=1)

    @property
    def streamed(self) -> bool:
        """Whether it is shown while it is written. What comes of an action is shown as a whole."""
        return self.kind in ("chat", "story_event")

    @property
    def tells_a_turn(self) -> bool:
        """Whether the state may change with it; what the chronicle tells has happened already."""
        return self.kind not in ("outline", "chapter")
