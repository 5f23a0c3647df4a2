"""A browser's own EventSource reads our streams, and comes back with its cursor after a crash."""

from __future__ import annotations

import pytest
from django.test import Client
from playwright.sync_api import Page

from games.operations import act
from jobs.events.ledger import ledger
from jobs.models import Job
from tests.browser.complaints import Complaints
from tests.browser.people import Enter
from tests.cast import Cast
from tests.processes import Stack
from tests.waiting import wait_until

pytestmark = pytest.mark.browser

FOLLOW = """address => {
    window.seen = [];
    window.source = new EventSource(address);
    for (const event of ["game.state_updated", "request.queued"])
        window.source.addEventListener(event, ({ lastEventId }) => window.seen.push(Number(lastEventId)));
}"""


def tell(job: Job, count: int) -> None:
    for number in range(count):
        with ledger() as book:
            book.tell(job, "game.state_updated", {"number": number})


def has_seen(page: Page, last: int) -> bool:
    page.wait_for_timeout(20)
    seen: list[int] = page.evaluate("window.seen")
    return seen == list(range(1, last + 1))


def test_an_event_source_of_our_page_misses_nothing_when_the_web_process_is_killed(
    stack: Stack, enter: Enter, cast: Cast, complaints: Complaints
) -> None:
    complaints.excuse("net::ERR_")
    job = act(user=cast.player1, game=cast.game, text="I wave.")
    stack.start("web")
    page = enter(cast.player2)
    page.goto("/")
    page.evaluate(FOLLOW, f"/v1/events/games/{cast.game.pk}?last_event_id=0")
    tell(job, 3)
    wait_until(lambda: has_seen(page, 4))
    stack.kill9("web")
    tell(job, 3)
    stack.start("web")
    tell(job, 1)
    wait_until(lambda: has_seen(page, 8), timeout=60)


def test_an_event_source_elsewhere_opens_a_stream_with_a_pass(stack: Stack, visit: Enter, cast: Cast) -> None:
    job = act(user=cast.player1, game=cast.game, text="I wave.")
    stack.start("web")
    path = f"/v1/events/games/{cast.game.pk}"
    asked = Client().post(
        "/v1/passes", {"stream": path}, content_type="application/json", headers=cast.bearer(cast.player1)
    )
    page = visit(bypass_csp=True)  # To the browser it is a page of another origin; ours only let pages read themselves.
    page.goto(f"http://localhost:{stack.port}/sign-in/")
    page.evaluate(FOLLOW, f"{stack.base_url}{path}?last_event_id=0&pass={asked.json()['pass']}")
    tell(job, 2)
    wait_until(lambda: has_seen(page, 3))
