"""A game's socket: a member acts, and sees the game's events, each once and in order. See docs/protocol.md."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Never
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User

from accounts.models import Scope
from accounts.sockets import UNAUTHORIZED, Receive, Send
from accounts.threads import in_thread
from games import operations
from games.attendance import attendance
from games.frames import FRAMES, Action, Frame, Hello, Ping, Say, Seen
from games.models import Game, Membership, Role
from games.rules import RIGHTS
from jobs import queries
from jobs.connections import UNREACHABLE
from jobs.errors import Conflict, Forbidden, Invalid, QueueError, Unavailable
from jobs.models import Job
from jobs.streams import Stream, hub, scope_id
from jobs.streams.audience import Place, audience
from jobs.streams.sockets import FORBIDDEN, NOT_FOUND, TOO_SLOW, Closing, Socket

logger = logging.getLogger(__name__)

AWAY = "the database can't be reached; send this again soon"
OURS = "something went wrong on our side; it was logged"


@dataclass(frozen=True)
class Seat:
    """A member's place in a game, as far as the caller's token lets it be used."""

    user: User
    game: Game
    role: Role
    granted: frozenset[str]
    membership: int

    @property
    def decides(self) -> bool:
        """Whether drafts and other private data are for these eyes."""
        return "decide" in RIGHTS[self.role] and Scope.DECIDE in self.granted

    def play(self, frame: Action | Say) -> dict[str, Any]:
        """Ask for what the frame wants; what the client is told of the request."""
        if Scope.PLAY not in self.granted:
            raise Forbidden(f"the token lacks the scope {Scope.PLAY.value!r}")
        job = self._ask(frame)
        status, position = job.request_status.value, queries.position(job)
        return {"request_id": str(job.public_id), "status": status, "position": position}

    def _ask(self, frame: Action | Say) -> Job:
        if isinstance(frame, Say):
            return operations.chat(user=self.user, game=self.game, text=frame.text, idempotency_key=frame.id)
        return operations.act(
            user=self.user,
            game=self.game,
            text=frame.text,
            changes=frame.changes,
            idempotency_key=frame.id,
        )


def take_seat(user: User, granted: frozenset[str], game_id: UUID) -> Seat | None:
    """The user's seat; ``None`` for strangers and where there is no game."""
    found = Membership.objects.of(user).filter(game=game_id).select_related("game").first()
    return Seat(user, found.game, Role(found.role), granted, found.pk) if found else None


async def game_socket(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """``/ws/games/<id>/``, behind ``accounts.sockets``."""
    socket: Socket[Frame] = Socket(receive, send, FRAMES)
    await socket.serve(_play(socket, scope))


async def _play(socket: Socket[Frame], scope: dict[str, Any]) -> None:
    user, granted, game_id = scope["user"], scope["token_scopes"], scope["url_route"]["kwargs"]["game_id"]
    if Scope.READ not in granted:
        raise Closing(FORBIDDEN, "forbidden", f"the token lacks the scope {Scope.READ.value!r}")
    seat = await in_thread(take_seat, user, granted, game_id)
    if seat is None:
        raise Closing(NOT_FOUND, "not_found", operations.NO_GAME)
    key = seat.game.scope_key
    place = audience().place(scope["caller"], key, decides=seat.decides)
    async with hub().watch(await in_thread(scope_id, key)) as stream:
        with place as taken, attendance().of(seat.membership):
            await _sit(Play(socket, stream, seat, taken))


async def _sit(play: Play) -> None:
    await play.welcome()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(play.obey())
        tasks.create_task(play.tell())
        tasks.create_task(play.pass_on())
        tasks.create_task(play.leave_when_told())


class Play:
    """One open socket: who sits there, and how far its client has been told and has seen."""

    def __init__(self, socket: Socket[Frame], stream: Stream, seat: Seat, place: Place) -> None:
        self._socket = socket
        self._stream = stream
        self._seat = seat
        self._place = place
        self._told: int | None = None
        self._seen = 0
        self._moved = asyncio.Event()

    async def welcome(self) -> None:
        """Say where the game's events stand; the client says hello from where it stands."""
        game, role = str(self._seat.game.pk), self._seat.role.value
        await self._socket.send("welcome", head=self._stream.head, game=game, role=role)

    async def obey(self) -> None:
        """Do what the client's frames ask, one after another."""
        while True:
            frame = await self._socket.frame()
            name = frame.id if isinstance(frame, Action | Say) else None
            try:
                await self._follow_frame(frame)
            except QueueError as error:
                await self._socket.refuse_frame(error, id=name)
            except UNREACHABLE as error:
                logger.warning("a frame failed, the database can't be reached: %s", error)
                await self._socket.refuse_frame(Unavailable(AWAY), id=name)
            except Exception:
                logger.exception("a frame failed")
                await self._socket.refuse_frame(QueueError(OURS, code="internal"), id=name)

    async def _follow_frame(self, frame: Frame) -> None:
        match frame:
            case Hello(cursor=cursor):
                await self._begin(cursor)
            case Action() | Say():
                answer = await in_thread(self._seat.play, frame)
                await self._socket.send("ack", id=frame.id, **answer)
            case Seen(seq=seq):
                self._note_seen(seq)
            case Ping():
                await self._socket.send("pong")

    async def _begin(self, cursor: int) -> None:
        if self._told is not None:
            raise Conflict("hello was said already: open another socket to begin elsewhere", code="hello_twice")
        if cursor > self._stream.head:
            await self._stream.refresh()
        if cursor > self._stream.head:
            await self._reset()
        else:
            self._told = self._seen = cursor
        self._moved.set()

    async def _reset(self) -> None:
        """What follows the cursor is not there any more, or never was: the client has to load a new snapshot."""
        self._told = self._seen = self._stream.head
        await self._socket.send("reset", head=self._told)

    def _note_seen(self, seq: int) -> None:
        if self._told is None or seq > self._told:
            detail = "say hello first" if self._told is None else f"you were sent events up to {self._told}"
            raise Invalid(detail, fields={"seq": detail})
        self._seen = max(self._seen, seq)
        self._moved.set()

    async def tell(self) -> None:
        """Send events from the client's cursor on, never further ahead than it may fall behind."""
        await self._moved.wait()
        while True:
            assert self._told is not None
            await self._stream.changed(self._told)
            if not self._room:
                await self._tell_head_only()
            if not (rows := await self._stream.after(self._told, self._room)):
                await self._reset()
            for row in rows:
                if row.seq != self._told + 1:
                    await self._reset()
                    break
                await self._socket.send("event", **row.frame(decider=self._place.decides))
                self._told = row.seq

    async def pass_on(self) -> None:
        """Send what is said in passing, from the client's hello on, as long as it keeps up."""
        await self._moved.wait()
        with self._stream.listen() as inbox:
            while True:
                told = await inbox.get()
                if self._room > 0 and (self._place.decides or not told.deciders_only):
                    await self._socket.send("event", **told.frame())

    @property
    def _room(self) -> int:
        """How many more events may be sent before the client says what it has seen."""
        limit: int = settings.CONFIG.socket_unseen_limit
        return limit - ((self._told or 0) - self._seen)

    async def _tell_head_only(self) -> None:
        """Until there is room again; of what happens meanwhile only the newest number, at most once a moment."""
        head = 0
        try:
            async with asyncio.timeout(settings.CONFIG.socket_unseen_seconds):
                while not self._room:
                    if self._stream.head > head:
                        head = self._stream.head
                        await self._socket.send("head", seq=head)
                    self._moved.clear()
                    with suppress(TimeoutError):
                        async with asyncio.timeout(settings.CONFIG.follow_seconds):
                            await self._moved.wait()
        except TimeoutError:
            raise Closing(TOO_SLOW, "too_slow", "events were sent that were not answered with 'seen'") from None

    async def leave_when_told(self) -> Never:
        """Wait for the end of the right to be here."""
        match await self._place.lost:
            case "unauthorized":
                raise Closing(UNAUTHORIZED, "unauthorized", "the session has ended or the token was revoked")
            case _:
                raise Closing(FORBIDDEN, "forbidden", "you are no longer a member of this game")
