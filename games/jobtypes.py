"""What can be asked of a game."""

from typing import Annotated
from uuid import UUID

from django.conf import settings
from pydantic import BaseModel, Field

from jobs.changes import Change
from jobs.registry import JobType
from jobs.results import Rejected
from jobs.workflows import Automation, Confirm, Step, Workflow, WorkflowPayload


class Asked(BaseModel):
    """What somebody, or something, asks of a game; ``text`` is for people."""

    game_id: UUID
    text: str


class PlayerAction(Asked):
    """What a player does, in the player's own words."""

    player: str


class DmAction(Asked):
    """What a DM tells or changes, without asking anyone."""

    changes: list[Change] = []


class Chat(Asked):
    """What a member says or asks; the storyteller answers, and the story may move on."""

    player: str


class StoryEvent(Asked):
    """Events of the scenario that have come due together, by their ids; ``text`` has their titles."""

    events: list[str]


Told = PlayerAction | Chat | StoryEvent
"""What a storyteller tells, and a person may decide on."""


class Chronicle(WorkflowPayload):
    """A chapter of the game's chronicle; ``text`` says what it should dwell on."""

    text: Annotated[str, Field(max_length=2000)] = ""


class Published(BaseModel):
    """The chapter that came of it."""

    chapter: int
    title: str
    first_turn: int
    last_turn: int


class Night(BaseModel):
    """Begin a chapter in every game; ``automation`` of ``None`` is the workflow's own."""

    automation: Automation | None = None


class Applied(BaseModel):
    """What has become of an action: the turn it was, what was told, and how the state changed."""

    turn: int
    narration: str
    changes: list[Change]


CHRONICLE = JobType(
    name="chronicle",
    queue="system",
    payload=Chronicle,
    result=Published | Rejected,
    handler="games.handlers.chronicle:run",
    internal=True,
    workflow=Workflow(
        title="A chapter of the chronicle",
        description="Makes a chapter of what has happened in the game since the last one.",
        scope="game",
        needs="decide",
        steps=(
            Step("gather", "Gather the turns"),
            Step("outline", "Outline", 3),
            Step("write", "Write", 5),
            Step(
                "confirm",
                "A person confirms",
                confirm=Confirm(timeout_seconds=settings.CONFIG.chronicle_confirm_seconds),
            ),
            Step("publish", "Publish"),
        ),
    ),
)
CHRONICLE_NIGHT = JobType(
    name="chronicle_night",
    queue="system",
    payload=Night,
    result=int,
    handler="games.handlers.chronicle:night",
)
PLAYER_ACTION = JobType(
    name="player_action",
    queue="player_actions",
    payload=PlayerAction,
    result=Applied | Rejected,
    handler="games.handlers.player_action:run",
    internal=True,
)
DM_ACTION = JobType(
    name="dm_action",
    queue="dm_actions",
    payload=DmAction,
    result=Applied,
    handler="games.handlers.dm_action:run",
    internal=True,
)
CHAT = JobType(
    name="chat",
    queue="player_actions",
    payload=Chat,
    result=Applied | Rejected,
    handler="games.handlers.chat:run",
    internal=True,
)
STORY_EVENT = JobType(
    name="story_event",
    queue="player_actions",
    payload=StoryEvent,
    result=Applied | Rejected,
    handler="games.handlers.story_event:run",
    internal=True,
)
