"""What a workflow declares before it runs: its steps, and which of them somebody has to confirm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict

NAME_CHARACTERS = 60
"""A step's name, to which rounds are added, has to fit into a durable step's name."""


class Automation(StrEnum):
    """How much of a workflow goes on by itself."""

    MANUAL = "manual"  # each step is confirmed before it runs
    SEMI = "semi"  # those that are marked
    FULL = "full"  # nobody is asked


class By(StrEnum):
    """How a step is confirmed."""

    WORD = "word"  # a click, or a keyword sent to the request
    CARD = "card"  # a decision in the decision queue


class Fallback(StrEnum):
    """What comes of a confirmation that nobody gave."""

    ASK = "ask"  # a person decides, in the decision queue
    GO_ON = "go_on"
    CANCEL = "cancel"


@dataclass(frozen=True, kw_only=True)
class Confirm:
    """What a step waits for before it runs. ``None`` takes the setting: CONFIRM_KEYWORDS, _ATTEMPTS, _SECONDS.

    ``attempts``: after so many other texts, and after ``timeout_seconds``, the ``fallback`` is taken.
    """

    by: By = By.WORD
    keywords: tuple[str, ...] | None = None
    attempts: int | None = None
    timeout_seconds: float | None = None
    fallback: Fallback = Fallback.ASK


@dataclass(frozen=True)
class Step:
    """A step as people see it. ``name`` is that of the one durable step which does it; ``weight`` is its share of
    the percentage."""

    name: str
    title: str
    weight: float = 1.0
    confirm: Confirm | None = None


@dataclass(frozen=True, kw_only=True)
class Workflow:
    """The steps of a job type, in their order.

    ``scope`` is the kind of project it works in: a ``game``, or the ``user`` who owns it. ``needs``: whether its owner
    must be one who decides there, or one who sees it.
    """

    title: str
    steps: Sequence[Step]
    description: str = ""
    scope: str = "user"
    needs: Literal["see", "decide"] = "see"
    automation: Automation = Automation.SEMI

    def __post_init__(self) -> None:
        names = [step.name for step in self.steps]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"workflow {self.title!r}: each step needs a name of its own")
        for step in self.steps:
            if not 0 < len(step.name) <= NAME_CHARACTERS or step.weight <= 0:
                raise ValueError(f"step {step.name!r}: use 1 to {NAME_CHARACTERS} characters and a weight above 0")

    def step(self, name: str) -> Step | None:
        """The declared step of this name."""
        return next((step for step in self.steps if step.name == name), None)

    def index(self, name: str) -> int:
        """Its place, from 1."""
        return [step.name for step in self.steps].index(name) + 1

    def percentage(self, name: str, percent: float) -> int:
        """How much of the whole is done when this step is done to ``percent`` and all before it entirely."""
        at = self.index(name) - 1
        before = sum(step.weight for step in self.steps[:at])
        whole = sum(step.weight for step in self.steps)
        return round((100 * before + min(max(percent, 0.0), 100.0) * self.steps[at].weight) / whole)


class WorkflowPayload(BaseModel):
    """What every workflow is given. ``automation`` of ``None`` is the workflow's own."""

    model_config = ConfigDict(extra="forbid")

    automation: Automation | None = None
