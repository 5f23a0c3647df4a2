"""A place in a game: what is asked, what comes of it, and staying connected. No terminal in here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any

from console import notices
from console.api import Api, Kind
from console.asked import OPEN, Asked, in_words
from console.errors import ConsoleError, Refused, Unreachable
from console.link import Link
from console.notices import Notice, View, told
from console.patience import Patience
from console.sse import Event

SHOWN_TURNS = 20
MOST_STRANGERS = 100
NO_ACTION = "/act what? Say what you do, as in: /act I open the door"


class Session:
    """Tells its view everything that happens in the game, and of our own requests how they stand."""

    def __init__(self, api: Api, view: View, patience: Patience | None = None) -> None:
        self.asked: list[Asked] = []
        self.name = ""
        self.state: dict[str, Any] = {}
        self._api = api
        self._view = view
        self._patience = patience or Patience()
        self._link = Link(
            self._patience, stream=self._stream, hear=self._hear, look=self._look, say=self._say_connection
        )
        self._cursor = 0
        self._turn = 0
        self._strangers: dict[str, tuple[str, dict[str, Any]]] = {}
        self._written: dict[str, tuple[int, int, str]] = {}
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
        failed.position, failed.overdue = None, False
        failed.status = "sending"
        async with self._sending:
            return await self._send(failed)

    async def _ask(self, asked: Asked) -> dict[str, Any]:
        return await self._api.ask(asked.kind, asked.text, asked.key)

    @property
    def waiting(self) -> list[Asked]:
        """Our requests that have not ended."""
        return [asked for asked in self.asked if asked.status in OPEN]

    async def _send(self, asked: Asked) -> None:
        asked.status, asked.heard_at = "sending", time.monotonic()
        until, failures = time.monotonic() + self._patience.request_seconds, 0
        while True:
            try:
                # One that failed in line runs again; one that may never have arrived is sent under its key.
                answer = await (self._api.retry(asked.id) if asked.id else self._ask(asked))
            except (Unreachable, Refused) as error:
                wait = self._patience.wait(failures, error)
                if (isinstance(error, Refused) and not error.passing) or time.monotonic() + wait > until:
                    asked.status = "failed"
                    return self._say("error", f"not sent: {error}")
                failures += 1
                self._say("status", f"{error}; sending again in {wait:.0f} s")
                await asyncio.sleep(wait)
            else:
                asked.id = answer["request_id"]
                self._now(asked, answer["status"], answer.get("position"), answer)
                if heard := self._strangers.pop(asked.id, None):  # The event was quicker than the answer.
                    self._hear_request(*heard)
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
                wait = self._patience.wait(failures, error)
                failures += 1
                self._say_connection(f"not connected: {error}; again in {wait:.1f} s", False)
                await asyncio.sleep(wait)

    async def _load(self) -> None:
        game = await self._api.game()
        self.name, self.state, self._cursor = game["name"], game["state"], game["cursor"]
        self._turn = max(0, game["turn"] - SHOWN_TURNS)
        self._say("story", f"{game['name']}\n\n{game['opening']}", **game)
        await self._tell_turns()

    def _stream(self) -> AsyncGenerator[Event]:
        return self._api.events(self._cursor, silence_seconds=self._patience.silence_seconds)

    async def _look(self) -> None:
        """Ask for what a stream would have told."""
        game = await self._api.game()
        self.state = game["state"]
        await self._tell_turns()
        await self._catch_up()
        # Events of ours may be there before the answer to what we send: a stream is to tell them again.
        if not any(asked.status == "sending" for asked in self.asked):
            self._cursor = game["cursor"]

    async def _hear(self, event: Event) -> None:
        await self._tell_event(event)
        if event.id.isdecimal():
            self._cursor = int(event.id)  # Not before: what fails in the middle is to come again.

    async def _tell_event(self, event: Event) -> None:
        if isinstance(event.data, dict) and (asked := self._ours(str(event.data.get("request_id")))):
            asked.hear()
        match event.name:
            case "open":
                await self._tell_turns()
            case "unavailable":
                raise Unreachable("the server has trouble of its own")
            case "reset":
                self._cursor = event.data["head"]
                await self._tell_turns()
                await self._catch_up()
            case "closed":
                raise Refused(403, event.data["code"], event.data["detail"])
            case "chat.chunk":
                self._hear_chunk(event.data)
            case "game.state_updated":
                await self._tell_turns()
            case "story.triggered":
                count = event.data["data"]["count"]
                self._say(
                    "event", "something stirs in the story" if count == 1 else f"{count} things stir in the story"
                )
            case name if name.startswith("request."):
                self._hear_request(name.removeprefix("request."), event.data)
            case name if name.startswith(("approval.", "llm.")):
                self._hear_request("", event.data)

    def _hear_request(self, what: str, data: dict[str, Any]) -> None:
        asked = self._ours(data["request_id"])
        if asked is None:
            self._strangers[str(data["request_id"])] = (what, data)
            if len(self._strangers) > MOST_STRANGERS:
                del self._strangers[next(iter(self._strangers))]
            return
        position = data["data"].get("position") if what in ("queued", "position") else None
        self._now(asked, data.get("status") or asked.status, position, data["data"])

    def _hear_chunk(self, event: dict[str, Any]) -> None:
        request, chunk = str(event["request_id"]), event["data"]
        attempt, index, whole = self._written.get(request, (0, -1, ""))
        if chunk["attempt"] != attempt or chunk["index"] == 0:
            whole = ""
            if index >= 0:
                self._say("status", "the storyteller begins anew", request=request)
        whole += chunk["content"]
        self._written[request] = (chunk["attempt"], chunk["index"], whole)
        self._view.tell(Notice(kind="chunk", text=chunk["content"], request=request, whole=whole))

    async def _tell_turns(self) -> None:
        while turns := await self._api.turns(self._turn):
            self.state = (await self._api.game())["state"]  # Before they are told: a view shows it with them.
            for turn in turns:
                self._turn = turn["number"]
                self._written.pop(str(turn["request_id"]), None)
                for notice in told(turn):
                    self._view.tell(notice)

    async def _catch_up(self) -> None:
        """Ask how our open requests stand: what happened while nothing was heard."""
        for asked in self.waiting:
            if asked.id and asked.status != "sending":
                answer = await self._api.request(asked.id)
                self._now(asked, answer["status"], answer.get("position"), answer)

    def _now(self, asked: Asked, status: str, position: int | None, about: dict[str, Any]) -> None:
        if (status, position) == (asked.status, asked.position) or asked.status not in OPEN:
            return
        asked.status, asked.position = status, position
        asked.hear()
        kind, text = in_words(asked, about)
        self._say(kind, text, request=asked.id, status=status)

    def _ours(self, request: str) -> Asked | None:
        return next((asked for asked in self.asked if asked.id == request), None)

    # -- time ----------------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        """Say once of each request that nothing has been heard of it for too long, and ask the server."""
        while True:
            await asyncio.sleep(min(1.0, self._patience.request_seconds / 4))
            for asked in self.waiting:
                if asked.status == "awaiting_approval" and self._link.stands:
                    asked.hear()  # People take their time, and the server sees to it that they don't take for ever.
                silent = time.monotonic() - asked.heard_at
                if silent > self._patience.request_seconds and not asked.overdue:
                    asked.overdue = True
                    self._say("error", f"nothing heard for {silent:.0f} s, still {asked.status}: {asked.text}")
                    with suppress(ConsoleError):
                        await self._catch_up()

    def _say_connection(self, text: str, live: bool) -> None:
        self._say("connection", text, live=live)

    def _say(self, kind: notices.Kind, text: str, *, request: str = "", **data: Any) -> None:
        self._view.tell(Notice(kind=kind, text=text, request=request, data=data))
