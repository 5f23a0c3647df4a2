"""The console's plain mode against real processes: what is typed, what is told, and staying connected."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from accounts import tokens
from accounts.models import Scope
from approvals.models import Approval
from approvals.operations import decide
from games.models import Decisions, Game, Membership
from jobs.models import Job
from queueproject.stack.commands import PROJECT, manage
from tests.cast import Cast
from tests.processes import Stack

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

QUICK: dict[str, Any] = {
    "SCRIPTED_SECONDS": "0.3",
    "LEASE_SECONDS": "1",
    "HEARTBEAT_SECONDS": "0.2",
    "TICK_SECONDS": "0.05",
}
Start = Callable[..., Any]


@pytest.fixture
def game(cast: Cast) -> Game:
    Game.objects.update(decisions=Decisions.NEVER)
    return Game.objects.get(pk=cast.game.pk)


@pytest.fixture
def token(cast: Cast) -> str:
    return tokens.issue(cast.player1, "console", Scope.values)[1]


def test_what_is_piped_in_is_asked_and_what_comes_of_it_is_told(
    stack: Stack, game: Game, token: str, plain: Start
) -> None:
    stack.start(**QUICK)
    console = plain(stack.base_url, token, str(game.pk), by=manage("console"))
    console.says("connection: connected")
    console.type("Is anybody down there?")
    console.type("/act I open the cellar door")
    console.says("status: done", times=2)
    console.type("/state")
    assert console.end() == 0
    lines = console.lines
    assert "story: The Cellar" in lines
    assert "story: A tavern, and a cellar below it." in lines
    assert "story: player1: Is anybody down there?" in lines
    assert "story: player1: I open the cellar door" in lines
    assert "state: doors.cellar: closed → open" in lines
    assert any(line.startswith("chunk: ") for line in lines)
    assert "status: processing…" in lines
    turns = list(game.turns.order_by("number").values_list("narration", flat=True))
    assert [line for line in lines if line.removeprefix("story: ") in turns] == [f"story: {turn}" for turn in turns]


def test_the_web_process_is_killed_and_the_console_comes_back_and_misses_nothing(
    stack: Stack, game: Game, token: str, plain: Start
) -> None:
    stack.start(**QUICK)
    console = plain(stack.base_url, token, str(game.pk))
    console.says("connection: connected")
    stack.kill9("web")
    console.says("connection: not connected")
    console.type("Still there?")
    console.says("status: the server can't be reached; sending again")
    stack.start("web")
    console.says("connection: connected", times=2)
    console.says("status: done")
    assert console.end() == 0
    assert [line for line in console.lines if line.startswith("story: player1:")] == ["story: player1: Still there?"]
    assert game.turns.count() == 1


def test_a_request_that_failed_is_asked_again(stack: Stack, game: Game, token: str, plain: Start) -> None:
    stack.start(SCRIPTED_FAULTS="refuse@forbidden", **QUICK)
    console = plain(stack.base_url, token, str(game.pk))
    console.says("connection: connected")
    console.type("Say the forbidden word")
    console.says("error: it failed: The storyteller will not tell this.")
    stack.kill9("worker")
    stack.start("worker", SCRIPTED_FAULTS="")
    console.type("/retry")
    console.says("status: done")
    assert console.end() == 0


def test_where_a_dm_decides_a_player_reads_nothing_before_that(
    stack: Stack, game: Game, cast: Cast, token: str, plain: Start
) -> None:
    Game.objects.update(decisions=Decisions.ASK)
    stack.start(**QUICK)
    player = plain(stack.base_url, token, str(game.pk))
    dm = plain(stack.base_url, tokens.issue(cast.dm, "console", Scope.values)[1], str(game.pk))
    for console in (player, dm):
        console.says("connection: connected")
    for times, (message, decision) in enumerate((("Hello?", "accept"), ("Anyone?", "reject")), start=1):
        player.type(message)
        player.says("status: a DM is deciding…", times=times)
        approval = Approval.objects.get(status="pending")
        decide(user=cast.dm, approval_id=approval.pk, version=1, decision=decision, reason="Not now.")
    player.says("status: done")
    player.says("status: not this time: Not now.")
    assert player.end() == 0
    assert not any(line.startswith("chunk:") for line in player.lines)
    dm.says("chunk: ")


def test_where_no_stream_gets_through_the_server_is_asked_instead(
    stack: Stack, game: Game, token: str, plain: Start, way_around: Callable[[str], str]
) -> None:
    stack.start(**QUICK)
    console = plain(way_around(stack.base_url), token, str(game.pk))
    console.says("connection: asking every 2 s instead of a stream: the server answered 405")
    console.type("Hello?")
    console.says("story: player1: Hello?")
    console.says("status: done")
    assert console.end() == 0
    assert not any(line.startswith("chunk:") for line in console.lines)


def test_what_takes_too_long_is_told(stack: Stack, game: Game, token: str, plain: Start) -> None:
    stack.start("web", **QUICK)
    console = plain(stack.base_url, token, str(game.pk), "--timeout", "0.4")
    console.says("connection: connected")
    console.type("Hello?")
    console.says("error: nothing heard for")
    assert console.end() == 1


def test_who_leaves_the_game_whose_token_is_revoked_or_who_was_never_in_it_is_told_and_sent_away(
    stack: Stack, game: Game, cast: Cast, token: str, plain: Start
) -> None:
    stack.start("web", **QUICK)
    console = plain(stack.base_url, token, str(game.pk))
    given, secret = tokens.issue(cast.player2, "console", Scope.values)
    other = plain(stack.base_url, secret, str(game.pk))
    for each in (console, other):
        each.says("connection: connected")
    Membership.objects.filter(user=cast.player1, game=game).delete()
    tokens.revoke(given)
    for each in (console, other):
        each.says("error: ", timeout=30)
        assert each.end() == 1
        assert not any("Traceback" in line for line in each.lines)
    stranger = tokens.issue(cast.stranger, "console", Scope.values)[1]
    assert plain(stack.base_url, stranger, str(game.pk)).end() == 1
    assert plain(stack.base_url, "qp_nonsense", str(game.pk)).end() == 1


def test_the_client_needs_no_django_and_no_settings() -> None:
    code = "import sys, console.plain, console.screen, console.start; sys.exit('django' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
    far = [sys.executable, str(PROJECT / "manage.py"), "console", "--game", "g"]
    alone = subprocess.run(far, env={"PATH": os.environ["PATH"]}, stderr=subprocess.PIPE, text=True, check=False)
    assert (alone.returncode, alone.stderr[:24]) == (2, "an API token is needed: ")


@pytest.mark.parametrize(
    ("server", "token", "game", "says"),
    [
        ("ftp://x", "t", "g", "'ftp://x' is no address: "),
        ("http://", "t", "g", "'http://' is no address: "),
        ("http://localhost:abc", "t", "g", "'http://localhost:abc' is no address: Invalid port"),
        ("http://localhost:99999", "t", "g", "'http://localhost:99999' is no address: "),
        ("http://ä..b", "t", "g", "'http://ä..b' is no address: "),
        ("http://localhost", "qp_tök", "g", "the token has characters"),
        ("http://localhost", "qp t", "g", "the token has characters"),
        ("http://localhost", "t", "g\x01", "'g\\x01' is no game's id"),
    ],
)
def test_what_can_never_be_sent_is_said_in_a_line(server: str, token: str, game: str, says: str) -> None:
    command = [sys.executable, "-m", "console", "--server", server, "--token", token, "--game", game]
    ended = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    assert (ended.returncode, ended.stderr[: len(says)], ended.stderr.count("\n")) == (2, says, 1)


def test_an_action_without_words_is_asked_for_and_nothing_is_sent(
    stack: Stack, game: Game, token: str, plain: Start
) -> None:
    stack.start("web", **QUICK)
    console = plain(stack.base_url, token, str(game.pk))
    for line in ("/act", "/act  "):
        console.type(line)
    console.says("error: /act what?", times=2)
    assert console.end() == 0
    assert not Job.objects.exists()
