"""A place in a game: what is asked, what comes of it, and staying connected. No terminal in here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any

from console import notices
from console.api import Api, Kind
from console.asked import Asked, held_by, in_words
from console.errors import ConsoleError, Odd, Refused, Unreachable
from console.link import Link
from console.notices import Notice, View, told
from console.patience import Patience
from console.shapes import Shape
from console.sse import Event
from console.written import Written

SHOWN_TURNS = 20
MOST_STRANGERS = 100
MOST_PASSED_OVER = 100
CURSOR_DIGITS = 18
SHOWN_CHARACTERS = 200
GONE = 404
UNTOLD = ("hidden", "progress", "queue.status", "asset.", "delivery.", "game.chapter_", "workflow.")
"""Events that mean nothing to this client; any other that it doesn't know is worth a word."""
NO_ACTION = "/act what? Say what you do, as in: /act I open the door"


class Session:
    """Tells its view everything that happens in the game, and of our own requests how they stand."""

    def __init__(self, api: Api, view: View, patience: Patience | None = None) -> None:
        self.asked: list[Asked] = []
        self.name = ""
        self.state: dict[str, Any] = {}
        self._api = api
        self._view = view
        self.patience = patience or Patience()
        self._link = Link(
            self.patience, stream=self._stream, hear=self._hear, look=self._look, say=self._say_connection
        )
        self._cursor = 0
        self._turn = 0
        self._strangers: dict[str, tuple[str, Shape]] = {}
        self._written = Written()
        self._passed_over: set[str] = set()
        self._sending = asyncio.Lock()

    # -- asking --------------------------------------------------------------------------------------------------

    async def ask(self, kind: Kind, text: str) -> None:
        """Chat or act. While the server can't be reached it is sent again, as the same request.

        One is sent when the one before has arrived: two at once could change places on their way.
        """
        asked = Asked(kind, text)
        self.asked.append(asked)
        async with self._sending:
            await self._send(asked)

    async def retry(self) -> None:
        """Ask the last request that failed once more."""
        failed = next((asked for asked in reversed(self.asked) if asked.status == "failed"), None)
        if failed is None:
            return self._say("status", "nothing has failed")
        self._say("status", f"once more: {failed.text}")
        failed.position, failed.behind, failed.overdue = None, "", False
        failed.status = "sending"
        async with self._sending:
            return await self._send(failed)

    async def _ask(self, asked: Asked) -> Shape:
        return await self._api.ask(asked.kind, asked.text, asked.key)

    @property
    def waiting(self) -> list[Asked]:
        """Our requests that have not ended."""
        return [asked for asked in self.asked if asked.open]

    async def _send(self, asked: Asked) -> None:
        asked.status, asked.heard_at = "sending", time.monotonic()
        until, failures = time.monotonic() + self.patience.request_seconds, 0
        while True:
            try:
                # One that failed in line runs again; one that may never have arrived is sent under its key.
                answer = await (self._api.retry(asked.id) if asked.id else self._ask(asked))
                request, status = answer.id("request_id"), answer.text("status")
                position = answer.maybe_number("position")
            except (Unreachable, Refused) as error:
                wait = self.patience.wait(failures, error)
                if (isinstance(error, Refused) and not error.passing) or time.monotonic() + wait > until:
                    asked.status = "failed"
                    return self._say("error", f"not sent: {error}")
                failures += 1
                self._say("status", f"{error}; sending again in {wait:.0f} s")
                await asyncio.sleep(wait)
            else:
                asked.id = request
                self._now(asked, status, position, answer)
                if heard := self._strangers.pop(asked.id, None):  # The event was quicker than the answer.
                    with suppress(ConsoleError):
                        await self._hear_request(*heard)
                return None

    # -- what happens --------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Load the game, then follow it for ever. ``ConsoleError`` when there is no point in going on."""
        await self._begin()
        watching = asyncio.create_task(self._watch())
        try:
            await self._link.hold()
        finally:
            watching.cancel()

    async def _begin(self) -> None:
        failures = 0
        while not self.name:
            try:
                await self._load()
            except (Unreachable, Refused) as error:
                if isinstance(error, Refused) and not error.passing:
                    raise
                wait = self.patience.wait(failures, error)
                failures += 1
                self._say_connection(f"not connected: {error}; again in {wait:.1f} s", False)
                await asyncio.sleep(wait)

    async def _load(self) -> None:
        game = await self._api.game()
        self.state, self._cursor = game.inner("state").value, game.number("cursor")
        self._turn = max(0, game.number("turn") - SHOWN_TURNS)
        name, opening = game.text("name"), game.text("opening")
        self.name = name
        self._say("story", f"{name}\n\n{opening}")
        await self._tell_turns()

    def _stream(self) -> AsyncGenerator[Event]:
        return self._api.events(self._cursor, silence_seconds=self.patience.silence_seconds)

    async def _look(self) -> None:
        """Ask for what a stream would have told."""
        game = await self._api.game()
        self.state = game.inner("state").value
        await self._tell_turns()
        await self._catch_up()
        # Events of ours may be there before the answer to what we send: a stream is to tell them again.
        if not any(asked.status == "sending" for asked in self.asked):
            self._cursor = game.number("cursor")

    async def _hear(self, event: Event) -> None:
        try:
            await self._tell_event(event)
        except Odd as odd:
            self._pass_over(str(odd))
        if event.id.isdecimal() and len(event.id) <= CURSOR_DIGITS:
            self._cursor = int(event.id)  # Not before: what fails in the middle is to come again.

    async def _tell_event(self, event: Event) -> None:
        match event.name:
            case "":
                pass
            case "open":
                await self._tell_turns()
            case "unavailable":
                raise Unreachable("the server has trouble of its own")
            case name:
                await self._tell_shaped(name, Shape(event.data, name))

    async def _tell_shaped(self, name: str, told: Shape) -> None:
        if asked := self._ours(told.value.get("request_id")):
            asked.hear()
        match name:
            case "reset":
                self._cursor = told.number("head")
                await self._tell_turns()
                await self._catch_up()
            case "closed":
                raise Refused(403, told.text("code"), told.text("detail"))
            case "chat.chunk":
                for notice in self._written.add(told):
                    self._view.tell(notice)
            case "game.state_updated":
                await self._tell_turns()
            case "story.triggered":
                self._say("event", stirring(told.inner("data").number("count")))
            case _ if name.startswith("request."):
                await self._hear_request(name.removeprefix("request."), told)
            case _ if name.startswith(("approval.", "llm.")):
                await self._hear_request("", told)
            case _ if not name.startswith(UNTOLD):
                self._pass_over(f"{name} means nothing to this client")

    async def _hear_request(self, what: str, told: Shape) -> None:
        request, data = told.id("request_id"), told.inner("data")
        asked = self._ours(request)
        if asked is None:
            self._strangers[request] = (what, told)
            if len(self._strangers) > MOST_STRANGERS:
                del self._strangers[next(iter(self._strangers))]
            if not what:  # A person was asked, or has decided: perhaps on what is ahead of ours.
                await self._look_ahead()
            return
        position = data.maybe_number("position") if what in ("queued", "position") else None
        self._now(asked, told.maybe_text("status") or asked.status, position, data)
        if what == "queued":
            await self._look_ahead()

    def _pass_over(self, why: str) -> None:
        """Say once what can't be understood."""
        if why not in self._passed_over and len(self._passed_over) < MOST_PASSED_OVER:
            self._passed_over.add(why)
            self._say("status", f"passed over: {why[:SHOWN_CHARACTERS]}")

    async def _tell_turns(self) -> None:
        while turns := await self._api.turns(self._turn):
            self.state = (await self._api.game()).inner("state").value  # Before they are told: it is shown with them.
            for turn in turns:
                number = turn.number("number")
                if number <= self._turn:
                    raise Odd("the server tells the same turns again")
                self._turn = number
                self._tell_turn(turn)

    def _tell_turn(self, turn: Shape) -> None:
        try:
            notices = told(turn)
        except Odd as odd:
            self._pass_over(f"turn {self._turn}: {odd}")
        else:
            self._written.forget(turn.id("request_id"))
            for notice in notices:
                self._view.tell(notice)

    async def _look_ahead(self) -> None:
        """Ask for whom those of ours wait that stand in line; it is asked again should that fail."""
        for asked in self.waiting:
            if asked.position:
                with suppress(ConsoleError):
                    await self._look_at(asked)

    async def _catch_up(self) -> None:
        """Ask how our open requests stand: what happened while nothing was heard."""
        for asked in self.waiting:
            if asked.arrived:
                await self._look_at(asked)

    async def _look_at(self, asked: Asked) -> None:
        try:
            answer = await self._api.request(asked.id)
        except Refused as error:
            if error.status != GONE:
                raise
            asked.status = "failed"
            return self._say("error", f"the server knows nothing of it any more: {asked.text}", request=asked.id)
        self._now(asked, answer.text("status"), answer.maybe_number("position"), answer, held_by(answer))
        if asked.waits_for_a_person:
            asked.hear()
        return None

    def _now(self, asked: Asked, status: str, position: int | None, about: Shape, behind: str = "") -> None:
        if (status, position, behind) == (asked.status, asked.position, asked.behind) or not asked.open:
            return
        asked.status, asked.position, asked.behind = status, position, behind
        asked.hear()
        kind, text = in_words(asked, about)
        self._say(kind, text, request=asked.id)

    def _ours(self, request: Any) -> Asked | None:
        return next((asked for asked in self.asked if asked.id and asked.id == request), None)

    # -- time ----------------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        """Say once of each request that nothing has been heard of it for too long."""
        while True:
            await asyncio.sleep(min(1.0, self.patience.request_seconds / 4))
            for asked in self.waiting:
                if asked.silent_seconds > self.patience.request_seconds and not asked.overdue:
                    await self._ask_after(asked)

    async def _ask_after(self, asked: Asked) -> None:
        """Perhaps it only waits for a person; the server has to say so."""
        with suppress(ConsoleError):
            if asked.arrived:
                await self._look_at(asked)
        silent = asked.silent_seconds
        if asked.open and silent > self.patience.request_seconds:
            asked.overdue = True
            self._say("error", f"nothing heard for {silent:.0f} s, still {asked.status}: {asked.text}")

    def _say_connection(self, text: str, live: bool) -> None:
        self._say("connection", text, live=live)

    def _say(self, kind: notices.Kind, text: str, *, request: str = "", live: bool = False) -> None:
        self._view.tell(Notice(kind=kind, text=text, request=request, live=live))


def stirring(count: int) -> str:
    """That story events are on their way."""
    return "something stirs in the story" if count == 1 else f"{count} things stir in the story"
