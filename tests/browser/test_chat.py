"""Chatting in the browser: the answer is seen while it is written, and the story goes on by itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from games.models import Decisions, Game, Scenario
from tests.browser.people import PATIENCE_MS, Enter, entry, open_game, say, shows, sign_in
from tests.cast import Cast
from tests.processes import Stack

pytestmark = pytest.mark.browser

WELL = (Path(__file__).parents[1] / "games" / "scenario.yaml").read_text()


def test_an_answer_is_seen_as_it_is_written_and_the_story_goes_on(stack: Stack, visit: Enter, cast: Cast) -> None:
    scenario = Scenario.objects.create(name="The Well", version=1, source=WELL)
    Game.objects.update(scenario=scenario, decisions=Decisions.NEVER, state=scenario.document.state)
    stack.start(SCRIPTED_SECONDS="3")
    speaker, listener = visit(), visit()
    for page, name in ((speaker, "player1"), (listener, "player2")):
        sign_in(page, name)
        open_game(page, cast.game)
    say(speaker, "Hello down there!")
    for page in (speaker, listener):
        writing = entry(page, "Hello down there!").locator(".writing")
        expect(writing).not_to_be_empty(timeout=PATIENCE_MS)
        shows(entry(page, "Hello down there!"), "says")
    for page in (speaker, listener):
        shows(entry(page, "Hello down there!"), "turn 1")
        expect(entry(page, "Hello down there!").locator(".writing")).to_have_count(0)
        shows(entry(page, "The bell of the village rings by itself."), "The story")
