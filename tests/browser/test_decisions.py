"""The DM's screen: every way to decide, two DMs at once, time that runs out, and hands that stay on the keyboard."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from approvals.models import Approval, ApprovalDecision
from games import operations
from games.models import Turn
from tests.browser.complaints import Complaints
from tests.browser.people import (
    PASSWORD,
    Enter,
    act,
    begin,
    card,
    entry,
    gone,
    live,
    open_game,
    open_queue,
    press,
    shows,
)
from tests.cast import Cast
from tests.processes import Stack

pytestmark = pytest.mark.browser

OPEN = "I open the cellar door"
LOOK = "I look around"
HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>{{ 7 }}"


def test_a_draft_is_edited_or_drafted_again_or_closed_and_all_of_it_is_kept(
    stack: Stack, enter: Enter, cast: Cast
) -> None:
    stack.start()
    player, dm = enter(cast.player1), enter(cast.dm)
    open_game(player, cast.game)
    open_queue(dm)

    act(player, OPEN)
    asked = card(dm, OPEN)
    shows(asked, "doors.cellar")
    draft = asked.locator(".prose").first.inner_text()
    begin(asked, "Edit")
    asked.get_by_label("What the players will read").fill("The door stays shut, but a coin rolls out.")
    rows = asked.get_by_role("group", name="Change 1")
    rows.get_by_label("Path").fill("party.gold")
    rows.get_by_label("What to do").select_option("add")
    rows.get_by_label("Value").fill("1")
    press(asked, "Accept as edited")
    shows(entry(player, OPEN), "The door stays shut, but a coin rolls out.")
    shows(player.locator("#state"), "13")
    shows(player.locator("#state"), "closed")

    act(player, LOOK)
    asked = card(dm, LOOK)
    begin(asked, "Reject")
    asked.get_by_label("Why").fill("make it windier")
    press(asked, "Draft again")
    shows(card(dm, LOOK), "version 2, draft 2 of 5")
    card(dm, LOOK).get_by_text("Earlier versions").click()
    shows(card(dm, LOOK), "“make it windier”")
    shows(entry(player, LOOK), "the DM is deciding")
    begin(card(dm, LOOK), "Reject")
    card(dm, LOOK).get_by_label("Why").fill("the lantern is out")
    press(card(dm, LOOK), "Close the request")
    shows(entry(player, LOOK), "Not this time: the lantern is out")

    dm.get_by_role("link", name="History").click()
    shows(dm.get_by_role("row", name=re.compile(LOOK)), "rejected")
    dm.get_by_role("row", name=re.compile(OPEN)).get_by_role("link").click()
    shows(dm.locator("main"), draft)
    shows(dm.locator("del").first, re.compile(r"\w"))
    shows(dm.locator("main"), "coin")
    kept = Approval.objects.get(action=OPEN)
    assert kept.versions.get().draft.text == draft
    assert kept.decisions.get().text == "The door stays shut, but a coin rolls out."


def test_of_two_dms_the_first_decides_and_the_second_is_told(
    stack: Stack, enter: Enter, cast: Cast, complaints: Complaints
) -> None:
    complaints.excuse("409")
    stack.start()
    operations.act(user=cast.player1, game=cast.game, text=OPEN)
    dm, second, player = enter(cast.dm), enter(cast.dm2), enter(cast.player1)
    open_queue(dm)
    shows(card(dm, OPEN), "The draft")
    open_queue(second)
    second.route("**/decisions/pending/**", lambda route: route.fulfill(status=503))  # Who decides in the same moment.
    complaints.excuse("503")
    begin(card(second, OPEN), "Take over")
    card(second, OPEN).get_by_label("What happens, in your words").fill("My own long words")
    press(card(dm, OPEN), "Accept")
    gone(card(dm, OPEN))
    press(card(second, OPEN), "Tell it so")
    shows(card(second, OPEN).get_by_role("alert"), "version 1 was accepted by dm")
    expect(card(second, OPEN).get_by_label("What you wrote")).to_have_value("My own long words")
    open_game(player, cast.game)
    shows(player.locator("#state"), "Turn 1")
    expect(player.locator("main")).not_to_contain_text("My own long words")
    assert Turn.objects.count() == ApprovalDecision.objects.count() == 1


def test_who_waits_sees_for_whom_and_the_time_to_decide_runs_out_once(stack: Stack, enter: Enter, cast: Cast) -> None:
    stack.start(PRESENCE_SECONDS="5")
    operations.act(user=cast.player1, game=cast.game, text=OPEN)
    player = enter(cast.player2)
    player.clock.install()
    open_game(player, cast.game)
    act(player, LOOK)
    shows(entry(player, LOOK), "queued, 1 ahead")
    shows(entry(player, LOOK), re.compile(r"waits behind player1, on whom the DM decides since \d\d:\d\d:\d\d UTC"))
    shows(entry(player, LOOK), "no DM is online")

    dm = enter(cast.dm)
    open_queue(dm)
    shows(card(dm, OPEN), re.compile(r"due in 9:\d\d, then: rejected"))
    player.clock.fast_forward("00:21")
    shows(player.locator("#dm-online"), re.compile("^DM online$"))
    expect(entry(player, LOOK)).not_to_contain_text("no DM is online")

    Approval.objects.update(due_at="2026-01-01T00:00:00Z")
    shows(entry(player, OPEN), "Not this time: no decision in time")
    shows(entry(player, OPEN), "rejected")
    shows(card(dm, LOOK), "The draft")
    gone(card(dm, OPEN))
    shows(entry(player, LOOK), "the DM is deciding")
    assert [made.kind for made in ApprovalDecision.objects.all()] == ["expire"]


def test_a_dm_passes_the_line_and_a_draft_of_an_older_state_comes_back(stack: Stack, enter: Enter, cast: Cast) -> None:
    stack.start()
    player, dm, play = enter(cast.player1), enter(cast.dm), enter(cast.dm)
    open_game(player, cast.game)
    open_queue(dm)
    open_game(play, cast.game)
    act(player, OPEN)
    shows(card(dm, OPEN), "doors.cellar")
    play.get_by_text("Change the state").click()
    change = play.get_by_role("group", name="Change 1")
    change.get_by_label("Path").fill("doors.cellar")
    change.get_by_label("Value").fill("bricked up")
    act(play, "Mortar drips: somebody bricks up the door.")
    for page in (player, play):
        shows(page.locator("#state"), "bricked up")
        shows(entry(page, OPEN), "the DM is deciding")
    press(card(dm, OPEN), "Accept")
    shows(card(dm, OPEN), "version 2")
    shows(card(dm, OPEN), "bricked up")
    expect(player.locator(".entry .prose")).to_have_count(1)
    press(card(dm, OPEN), "Accept")
    shows(player.locator("#state"), "Turn 2")
    shows(player.locator("#state"), re.compile("cellar\\s*open"))


def test_markup_and_script_are_shown_as_they_were_typed(stack: Stack, enter: Enter, cast: Cast) -> None:
    stack.start()
    cast.game.name = cast.game.opening = HOSTILE
    cast.game.save()
    player, dm = enter(cast.player1), enter(cast.dm)
    player.goto("/")
    player.get_by_role("link", name=HOSTILE).click()
    live(player)
    open_queue(dm)
    act(player, HOSTILE)
    shows(card(dm, HOSTILE).locator(".said"), HOSTILE)
    begin(card(dm, HOSTILE), "Reject")
    card(dm, HOSTILE).get_by_label("Why").fill(HOSTILE)
    press(card(dm, HOSTILE), "Draft again")
    shows(card(dm, HOSTILE), "version 2")
    card(dm, HOSTILE).get_by_text("Earlier versions").click()
    shows(card(dm, HOSTILE).locator(".earlier"), f"“{HOSTILE}”")
    begin(card(dm, HOSTILE), "Take over")
    card(dm, HOSTILE).get_by_label("What happens, in your words").fill(HOSTILE)
    change = card(dm, HOSTILE).get_by_role("group", name="Change 1").last
    change.get_by_label("Path").fill("sign")
    change.get_by_label("Value").fill(HOSTILE)
    press(card(dm, HOSTILE), "Tell it so")
    shows(player.locator(".entry .said"), HOSTILE)
    shows(player.locator(".entry .prose"), HOSTILE)
    shows(player.locator("#state"), HOSTILE)
    dm.goto("/decisions/history/")
    shows(dm.locator("tbody"), HOSTILE)
    dm.locator("tbody a").click()
    shows(dm.locator("main"), HOSTILE)
    for page in (player, dm):
        assert page.locator("main img, main script").count() == 0


def test_all_of_it_is_done_by_keyboard_and_nothing_live_takes_the_focus_away(
    stack: Stack, visit: Enter, enter: Enter, cast: Cast
) -> None:
    stack.start()
    player, dm = visit(), enter(cast.dm)
    player.goto("/")
    for key in ("player1", "Tab", PASSWORD, "Enter"):
        player.keyboard.press(key) if key in ("Tab", "Enter") else player.keyboard.type(key)
    shows(player.locator("main"), "Your games")
    open_game(player, cast.game)
    player.locator("#action-text").focus()
    player.keyboard.type(OPEN)
    player.keyboard.press("Control+Enter")
    shows(entry(player, OPEN), "player1")
    player.locator("#action-text").focus()
    player.keyboard.type("half a sent")

    open_queue(dm)
    first, second = card(dm, OPEN), card(dm, LOOK)
    shows(first, "The draft")
    dm.keyboard.press("j")
    for key, box in (("e", "What the players will read"), ("r", "Why"), ("t", "What happens, in your words")):
        dm.keyboard.press(key)
        expect(first.get_by_label(box)).to_be_focused()
        dm.keyboard.press("Escape")
        expect(first).to_be_focused()
    dm.keyboard.press("t")
    dm.keyboard.type("Out of the dark jumps a jackal.")  # Keys that decide are letters here.
    operations.act(user=cast.player2, game=cast.other, text=LOOK)
    shows(second, "The draft")
    expect(first.get_by_label("What happens, in your words")).to_be_focused()
    expect(first.get_by_label("What happens, in your words")).to_have_value("Out of the dark jumps a jackal.")
    dm.keyboard.press("Escape")
    for key, focused in (("j", second), ("k", first)):
        dm.keyboard.press(key)
        expect(focused).to_be_focused()
    operations.act(user=cast.player2, game=cast.game, text="I wait")
    dm.keyboard.press("a")
    expect(second).to_be_focused()
    shows(player.locator("#state"), "Turn 1")
    shows(card(dm, "I wait"), "The draft")
    expect(second).to_be_focused()
    expect(player.locator("#action-text")).to_be_focused()
    expect(player.locator("#action-text")).to_have_value("half a sent")
    expect(player.locator("#live")).to_have_attribute("aria-live", "polite")
