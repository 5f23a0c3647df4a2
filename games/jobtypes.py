"""What can be asked of a game."""

from uuid import UUID

from pydantic import BaseModel

from jobs.changes import Change
from jobs.registry import JobType
from jobs.results import Rejected


class PlayerAction(BaseModel):
    """What a player does, in the player's own words."""

    game_id: UUID
    text: str
    player: str


class DmAction(BaseModel):
    """What a DM tells or changes, without asking anyone."""

    game_id: UUID
    text: str
    changes: list[Change] = []


class Chat(BaseModel):
    """What a member says or asks; the storyteller answers, and the story may move on."""

    game_id: UUID
    text: str
    player: str


class StoryEvent(BaseModel):
    """Events of the scenario that have come due together, by their ids; ``text`` has their titles, for people."""

    game_id: UUID
    text: str
    events: list[str]


Told = PlayerAction | Chat | StoryEvent
"""What a storyteller tells, and a person may decide on."""


class Applied(BaseModel):
    """What has become of an action: the turn it was, what was told, and how the state changed."""

    turn: int
    narration: str
    changes: list[Change]


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
)
