"""The console's screen, with a real server: typed into and looked at as a person would."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import RichLog, Static

from accounts import tokens
from accounts.models import Scope
from accounts.threads import in_thread
from console.api import Api
from console.patience import Patience
from console.screen import ConsoleApp
from console.session import Session
from games.models import Decisions, Game
from tests.cast import Cast
from tests.processes import Stack
from tests.waiting import await_until

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

QUICK: dict[str, Any] = {
    "SCRIPTED_SECONDS": "1",
    "LEASE_SECONDS": "1",
    "HEARTBEAT_SECONDS": "0.2",
    "TICK_SECONDS": "0.05",
}


class Seat:
    """One person at a screen."""

    def __init__(self, app: ConsoleApp) -> None:
        self.app = app

    def shown(self, part: str) -> str:
        """What stands in a part of the screen."""
        widget = self.app.query_one(part)
        if isinstance(widget, RichLog):
            return "\n".join(line.text for line in widget.lines)
        assert isinstance(widget, Static)
        return str(widget.content)

    async def sees(self, text: str, part: str = "#story") -> None:
        async def there() -> bool:
            return text in self.shown(part)

        await await_until(there, timeout=60, what=f"{text!r} in {part}")


@asynccontextmanager
async def seated(server: str, token: str, game: Game, **patience: float) -> AsyncIterator[tuple[Seat, Pilot[int]]]:
    api, app = Api(server, token, str(game.pk)), ConsoleApp()
    app.session = Session(api, app, Patience(**patience))
    async with app.run_test(size=(140, 50)) as pilot:
        yield Seat(app), pilot
    await api.close()


@pytest.fixture
def token(cast: Cast) -> str:
    Game.objects.update(decisions=Decisions.NEVER)
    return tokens.issue(cast.player1, "console", Scope.values)[1]


async def test_what_is_said_is_answered_piece_by_piece_and_the_state_follows(
    stack: Stack, cast: Cast, token: str
) -> None:
    await in_thread(partial(stack.start, **QUICK))
    async with seated(stack.base_url, token, cast.game) as (seat, pilot):
        await seat.sees("A tavern, and a cellar below it.")
        await seat.sees("● connected", "#connection")
        await pilot.press(*"Hello", "space", *"you", "enter")
        await seat.sees("Hello you", "#requests")
        await await_until(lambda: _async(bool(seat.shown("#written"))), timeout=60, what="a chunk")
        await seat.sees("player1: Hello you")
        await seat.sees("done")
        await seat.sees("clock: 4", "#state")
        assert seat.shown("#written") == ""
        assert seat.shown("#requests") == ""


async def test_the_server_goes_away_and_comes_back(stack: Stack, cast: Cast, token: str) -> None:
    await in_thread(partial(stack.start, **QUICK))
    patience = {"first_wait_seconds": 0.2, "longest_wait_seconds": 1.0}
    async with seated(stack.base_url, token, cast.game, **patience) as (seat, pilot):
        await seat.sees("● connected", "#connection")
        await in_thread(partial(stack.kill9, "web"))
        await seat.sees("○ not connected", "#connection")
        await in_thread(partial(stack.start, "web"))
        await seat.sees("● connected", "#connection")
        await pilot.press(*"/act", "space", *"I", "space", *"wait", "enter")
        await seat.sees("player1: I wait")


async def test_what_was_typed_first_is_asked_first_even_if_it_takes_longer_on_its_way(
    stack: Stack, cast: Cast, token: str, way_around: Callable[..., str]
) -> None:
    await in_thread(partial(stack.start, **QUICK | {"SCRIPTED_SECONDS": "0"}))
    async with seated(way_around(stack.base_url, first_post_seconds=1), token, cast.game) as (seat, pilot):
        await seat.sees("A tavern")
        await pilot.press(*"One", "enter", *"Two", "enter", *"Three", "enter")
        await seat.sees("player1: Three")
        assert re.findall("player1: (.*)", seat.shown("#story")) == ["One", "Two", "Three"]


async def _async(value: bool) -> bool:
    return value
