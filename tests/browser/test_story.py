"""Two players and a DM play: what one does the others see, at once, and still after everything that can be lost."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from games import operations
from tests.browser.complaints import Complaints
from tests.browser.people import (
    Enter,
    act,
    card,
    entry,
    gone,
    history,
    live,
    open_game,
    open_queue,
    press,
    reload_until,
    shows,
    sign_in,
)
from tests.cast import Cast
from tests.processes import Stack

pytestmark = pytest.mark.browser

OPEN = "I open the cellar door"
FOLLOW = "I follow with the lantern"


def test_an_action_is_seen_by_all_from_the_line_to_the_narration(stack: Stack, visit: Enter, cast: Cast) -> None:
    stack.start("web", "scheduler")
    first, second, dm = visit(), visit(), visit()
    for page, name in ((first, "player1"), (second, "player2"), (dm, "dm")):
        sign_in(page, name)
    first.get_by_role("link", name="The Cellar").click()
    live(first)
    shows(first.locator("main"), "A tavern, and a cellar below it.")
    open_game(second, cast.game)
    dm.get_by_role("link", name="Decisions").click()
    live(dm)
    dm.evaluate("window.neverReloaded = true")

    act(first, OPEN)
    act(second, FOLLOW)
    for page in (first, second):
        shows(entry(page, OPEN), "queued, next in line")
        shows(entry(page, FOLLOW), "queued, 1 ahead")
    stack.start("worker", SCRIPTED_SECONDS="2")
    for page in (first, second):
        shows(entry(page, OPEN), "processing")
    for page in (first, second):
        shows(entry(page, OPEN), "the DM is deciding")
        shows(entry(page, FOLLOW), "waits behind player1, on whom the DM decides")

    asked = card(dm, OPEN)
    for words in ("The Cellar: player1", "doors.cellar", '"closed"', '"open"', "due in"):
        shows(asked, words)
    draft = asked.locator(".prose").first.inner_text()
    for page in (first, second):
        expect(page.locator("main")).not_to_contain_text(draft)
    press(asked, "Accept")
    gone(asked)
    for page in (first, second):
        shows(entry(page, OPEN), draft)
        shows(page.locator("#state"), "Turn 1")
        expect(page.locator("#state dd").filter(has_text="open")).to_have_count(1)
    shows(card(dm, FOLLOW), "The draft")
    assert dm.evaluate("window.neverReloaded")


def test_nothing_is_missed_or_shown_twice_by_who_was_away(
    stack: Stack, enter: Enter, cast: Cast, complaints: Complaints
) -> None:
    complaints.excuse("net::ERR_")  # Chromium says so when it can't connect, which is what is tested.
    stack.start()
    player, dm = enter(cast.player1), enter(cast.dm)
    open_game(player, cast.game)
    open_queue(dm)
    act(player, OPEN)
    press(card(dm, OPEN), "Accept")
    shows(player.locator("#state"), "Turn 1")

    for page in (player, dm):
        page.context.set_offline(True)
        shows(page.locator("#connection"), "connection lost")
    missed = operations.act(user=cast.player2, game=cast.game, text=FOLLOW)
    for page in (player, dm):
        page.context.set_offline(False)
        live(page)
    shows(entry(player, FOLLOW), "the DM is deciding")
    press(card(dm, FOLLOW), "Accept")
    shows(player.locator("#state"), "Turn 2")
    shows(entry(player, FOLLOW), "turn 2")  # else it may be asked for when nobody answers, and only seconds later again

    stack.kill9("web")
    shows(player.locator("#connection"), "connection lost")
    operations.act(user=cast.dm, game=cast.game, text="The bell tolls.")
    stack.start("web")
    live(player)
    shows(player.locator("#state"), "Turn 3")
    shows(player.locator(".entry").last, "The bell tolls.")
    act(player, "I am still here")
    shows(card(dm, "I am still here"), "The draft")
    shows(entry(player, "I am still here"), "the DM is deciding")

    shown = history(player)
    assert [identity for identity, _ in shown].count(f"request-{missed.public_id}") == 1
    assert len({identity for identity, _ in shown}) == len(shown) == 4
    player.reload()
    live(player)
    assert history(player) == shown


def test_without_scripts_one_signs_in_acts_decides_and_reads(stack: Stack, visit: Enter, cast: Cast) -> None:
    stack.start()
    player, dm = (visit(java_script_enabled=False) for _ in range(2))
    sign_in(player, "player1")
    sign_in(dm, "dm")
    player.get_by_role("link", name="The Cellar").click()
    act(player, OPEN)
    shows(entry(player, OPEN), "player1")
    reload_until(dm, "/decisions/", OPEN)
    player.reload()
    shows(entry(player, OPEN), "the DM is deciding")
    asked = card(dm, OPEN)
    asked.locator("summary", has_text="Take over").click()
    asked.get_by_label("What happens, in your words").fill("The door is painted on the wall.")
    press(asked, "Tell it so")
    shows(dm.locator("main"), "Done: written by hand.")
    reload_until(player, f"/play/{cast.game.pk}/", "The door is painted on the wall.")
    shows(player.locator("#state"), "Turn 1")
