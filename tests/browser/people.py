"""What people do and see in the browser, in words."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from playwright.sync_api import Locator, Page, expect

from tests.waiting import wait_until

if TYPE_CHECKING:
    from games.models import Game

Enter = Callable[..., Page]
"""How a fixture opens a browser."""

PASSWORD = "correct horse battery"

PATIENCE_MS = 20_000
"""Longest wait for what goes through model, worker and socket, on a machine that has other things to do."""


def sign_in(page: Page, name: str) -> None:
    """At the site's front door, as people do."""
    page.goto("/")
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Your games")).to_be_visible()


def open_game(page: Page, game: Game) -> None:
    page.goto(f"/play/{game.pk}/")
    live(page)


def open_queue(page: Page) -> None:
    page.goto("/decisions/")
    live(page)


def live(page: Page) -> None:
    """Wait until the page is connected."""
    expect(page.locator("#connection")).to_have_text("live", timeout=PATIENCE_MS)


def act(page: Page, words: str) -> None:
    """Type it and send it; the box is empty again once it is taken."""
    box = page.locator("#action-text")
    box.fill(words)
    page.get_by_role("button", name=re.compile("^(Act|Tell)$")).click()
    expect(box).to_have_value("")


def say(page: Page, words: str) -> None:
    """As ``act``, but as something that is said."""
    box = page.locator("#action-text")
    box.fill(words)
    page.get_by_role("button", name="Say").click()
    expect(box).to_have_value("")


def entry(page: Page, words: str) -> Locator:
    """The request in the game's log that has these words."""
    return page.locator(".entry", has_text=words)


def card(page: Page, words: str) -> Locator:
    """The decision card that has these words."""
    return page.locator("[data-approval]", has_text=words)


def shows(place: Locator, words: str | re.Pattern[str]) -> None:
    """Wait until it is seen there."""
    expect(place).to_contain_text(words, timeout=PATIENCE_MS)


def gone(place: Locator) -> None:
    """Wait until it is not there any more."""
    expect(place).to_have_count(0, timeout=PATIENCE_MS)


def begin(card: Locator, way: str) -> None:
    """Open one of a card's forms: Edit, Reject or Take over."""
    card.locator("summary", has_text=way).click()


def press(card: Locator, button: str) -> None:
    card.get_by_role("button", name=button).click()


def reload_until(page: Page, path: str, words: str) -> None:
    """For who has no scripts: go there again and again."""

    def shown() -> bool:
        page.goto(path)
        return page.get_by_text(words).first.is_visible()

    wait_until(shown, timeout=PATIENCE_MS / 1000, what=f"{words!r} on {path}")


def history(page: Page) -> list[tuple[str | None, str]]:
    """Every request that the game's page shows: its id, and all that is said of it."""
    return [(found.get_attribute("id"), found.inner_text()) for found in page.locator(".entry").all()]
