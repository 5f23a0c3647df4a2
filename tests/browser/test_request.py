"""The page of a request in a browser: live, by keyboard, by ear, and without JavaScript."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from games.jobtypes import CHRONICLE
from games.models import Chapter
from games.operations import act
from jobs.models import Job
from jobs.operations.workflows import start
from tests.browser.complaints import Complaints
from tests.browser.people import PATIENCE_MS, Enter, live, open_game, reload_until, shows
from tests.browser.test_looks import mistakes
from tests.cast import Cast
from tests.games.test_chronicle import play
from tests.processes import Stack
from tests.workflows.kinds import SLOW

pytestmark = pytest.mark.browser


def chapter(cast: Cast) -> Job:
    play(cast)
    return start(CHRONICLE.name, {}, user=cast.dm, scope=cast.game.scope_key)


def path(job: Job) -> str:
    return f"/requests/{job.public_id}/"


def step(page: Page, name: str, state: str) -> None:
    """Wait until the page says so of this step."""
    expect(page.locator(f'[data-step="{name}"]')).to_have_attribute("data-state", state, timeout=PATIENCE_MS)


def test_steps_are_followed_and_confirmed_by_keyboard_without_a_reload(
    stack: Stack, enter: Enter, cast: Cast, complaints: Complaints
) -> None:
    stack.start("web")
    job = chapter(cast)
    dm, player = enter(cast.dm), enter(cast.player1)
    for page in (dm, player):
        page.goto(path(job))
        live(page)
        assert page.locator('[data-state="to_come"]').count() == 5
    found = mistakes(dm)
    dm.evaluate("window.kept = true")
    stack.start("worker", "scheduler")
    step(dm, "confirm", "running")
    step(player, "confirm", "running")
    expect(player.locator("#confirm")).to_have_count(0)
    found += mistakes(dm)
    box = dm.get_by_label("Or say it")
    box.focus()
    dm.keyboard.type("hm")
    expect(box).to_have_value("hm")
    box.fill("fertig")
    dm.keyboard.press("Tab")
    dm.keyboard.press("Enter")
    shows(dm.get_by_role("status").first, "Confirmed.")
    step(dm, "publish", "completed")
    step(player, "publish", "completed")
    shows(player.locator("#request"), "100 %")
    found += mistakes(dm)
    dm.goto(f"/play/{cast.game.pk}/chronicle/")
    shows(dm.locator("#chapter-1"), Chapter.objects.get().title)
    found += mistakes(dm)
    assert not found, "\n".join(found)


def test_the_keyword_sent_with_enter_confirms(stack: Stack, enter: Enter, cast: Cast) -> None:
    stack.start()
    job = chapter(cast)
    dm = enter(cast.dm)
    dm.goto(path(job))
    step(dm, "confirm", "running")
    box = dm.get_by_label("Or say it")
    box.fill("not yet")
    dm.get_by_role("button", name="Say").click()
    shows(dm.locator("#confirm"), "1 of 3")
    dm.get_by_role("button", name="Confirm").click()
    step(dm, "publish", "completed")


def test_without_javascript_it_works_by_reload(stack: Stack, enter: Enter, cast: Cast) -> None:
    stack.start()
    job = chapter(cast)
    dm = enter(cast.dm, java_script_enabled=False)
    reload_until(dm, path(job), "Is this right?")
    dm.get_by_role("button", name="Confirm").click()
    shows(dm.locator("main"), "Confirmed.")
    reload_until(dm, path(job), "100 %")
    player = enter(cast.player1, java_script_enabled=False)
    player.goto(f"/play/{cast.game.pk}/")
    player.get_by_role("link", name=re.compile("UTC")).click()
    shows(player.locator("main"), "What has happened")
    assert player.get_by_role("button", name="Call it off").count() == 0


def test_an_action_has_a_page_too_and_is_called_off_there(
    stack: Stack, enter: Enter, cast: Cast, complaints: Complaints
) -> None:
    stack.start()
    job = act(user=cast.player1, game=cast.game, text="I open the cellar door")
    player = enter(cast.player1)
    open_game(player, cast.game)
    player.goto(path(job))
    shows(player.locator("#request"), "a person is asked")
    found = mistakes(player)
    player.get_by_role("button", name="Call it off").click()
    shows(player.locator("#request"), "called off")
    player.get_by_role("button", name="Run it again").click()
    shows(player.locator("#why"), "a person has to decide")
    stranger = enter(cast.stranger)
    complaints.excuse("404")
    answer = stranger.goto(path(job))
    assert answer is not None
    assert answer.status == 404
    assert not found, "\n".join(found)


def test_a_workflow_of_ones_own_is_followed_live(stack: Stack, enter: Enter, cast: Cast) -> None:
    stack.start("web", "scheduler", DJANGO_SETTINGS_MODULE="tests.workflows.settings", STEP_PROGRESS_SECONDS="0.05")
    job = start(SLOW.name, {}, user=cast.player1)
    player = enter(cast.player1)
    player.goto(path(job))
    live(player)
    stack.start("worker")
    step(player, "count", "completed")
    shows(player.locator("#request"), "100 %")
    shows(player.locator("main"), "Count (2 of 2)")
