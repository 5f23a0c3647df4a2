"""What a client may send over a game's socket."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, TypeAdapter

Number = Annotated[int, Field(ge=0)]


class _Frame(BaseModel, extra="forbid"):
    """A misspelt field is an error, never silence."""


class Hello(_Frame):
    """Replay everything after ``cursor``, then follow."""

    type: Literal["hello"]
    cursor: Annotated[Number, Field(lt=10**18)]


class Action(_Frame):
    """Act. The same ``id`` from the same user is one action, however often it is sent."""

    type: Literal["action"]
    id: str = Field(pattern=r"^[!-~]{1,100}$")
    text: str
    changes: list[Any] | None = None


class Say(_Frame):
    """Chat. ``id`` is as an action's."""

    type: Literal["chat"]
    id: str = Field(pattern=r"^[!-~]{1,100}$")
    text: str


class Seen(_Frame):
    """Everything up to ``seq`` has been dealt with."""

    type: Literal["seen"]
    seq: Number


class Ping(_Frame):
    """Asks for a pong."""

    type: Literal["ping"]


Frame = Hello | Action | Say | Seen | Ping
FRAMES: TypeAdapter[Frame] = TypeAdapter(Annotated[Frame, Field(discriminator="type")])
