"""The console in real terminals of several sizes: typed into by keys, and read from the screen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from accounts import tokens
from accounts.models import Scope
from games.models import Decisions, Game
from tests.cast import Cast
from tests.console.terminal import CTRL_R, Terminal
from tests.processes import Stack

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

QUICK: dict[str, Any] = {
    "SCRIPTED_SECONDS": "2",
    "SCRIPTED_FAULTS": "refuse@forbidden",
    "LEASE_SECONDS": "1",
    "HEARTBEAT_SECONDS": "0.2",
    "TICK_SECONDS": "0.05",
}
Sit = Callable[..., Terminal]


@pytest.fixture
def sit(cast: Cast) -> Iterator[Sit]:
    """``sit(server, columns, rows)`` is player1 at a terminal of this size."""
    Game.objects.update(decisions=Decisions.NEVER)
    token = tokens.issue(cast.player1, "console", Scope.values)[1]
    taken: list[Terminal] = []

    def at(server: str, columns: int, rows: int) -> Terminal:
        taken.append(Terminal(server, token, str(cast.game.pk), columns=columns, rows=rows))
        return taken[-1]

    yield at
    for terminal in taken:
        terminal.close()


def test_a_game_is_played_at_terminals_of_any_size_and_where_no_stream_gets_through(
    stack: Stack, sit: Sit, way_around: Callable[[str], str]
) -> None:
    stack.start(**QUICK)
    usual, large, tiny = (sit(stack.base_url, *size) for size in ((80, 24), (200, 50), (32, 10)))
    asking = sit(way_around(stack.base_url), 80, 24)
    for terminal in (usual, large, tiny):
        terminal.sees("● connected")
    asking.sees("asking every 2 s instead")
    usual.type("Hello?\rAnyone?\r")
    usual.sees("processing…  Hello?")
    usual.sees("in line, 1 ahead  Anyone?")
    for terminal in (usual, large, asking):
        terminal.sees("player1: Anyone?")
        terminal.sees("clock: 5")
    tiny.sees("clock: 4 + 1")
    tiny.resize(80, 24)
    tiny.sees("player1: Anyone?")
    tiny.sees("clock: 5")
    asking.type("/act I wait in the dark\r")
    for terminal in (usual, large, tiny, asking):
        terminal.sees("player1: I wait in the dark")
    assert [terminal.end() for terminal in (usual, large, tiny, asking)] == [0, 0, 0, 0]


def test_what_is_typed_while_the_server_is_away_arrives_and_a_key_asks_again_what_failed(
    stack: Stack, sit: Sit
) -> None:
    stack.start(**QUICK)
    terminal = sit(stack.base_url, 80, 24)
    terminal.sees("● connected")
    stack.kill9("web")
    terminal.sees("○ not connected")
    terminal.type("Say the forbidden word\r")
    terminal.sees("sending…  Say the forbidden word")
    stack.start("web")
    terminal.sees("● connected")
    terminal.sees("it failed: The storyteller will not tell this.")
    stack.kill9("worker")
    stack.start("worker", SCRIPTED_FAULTS="")
    terminal.type(CTRL_R)
    terminal.sees("once more: Say the forbidden word")
    terminal.sees("player1: Say the forbidden word")
