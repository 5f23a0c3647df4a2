"""The play page in a browser: what happens is shown as it happens, and what is typed is neither lost nor done twice."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import Client as Browser
from playwright.sync_api import Locator, Page, WebSocketRoute, expect

from approvals.models import Approval
from approvals.operations import decide
from games.models import Membership
from games.operations import act
from jobs.models import Job
from tests.cast import Cast
from tests.processes import Stack
from tests.waiting import wait_until

pytestmark = pytest.mark.browser

Enter = Callable[[User], Page]


@pytest.fixture
def enter(stack: Stack, new_page: Callable[..., Page], cast: Cast) -> Enter:
    """Opens the game's page in a browser of the user's own."""

    def open_page(user: User) -> Page:
        session = Browser()
        session.force_login(user)
        page = new_page()
        value = session.cookies[settings.SESSION_COOKIE_NAME].value
        page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": value, "url": stack.base_url}])
        page.goto(f"/play/{cast.game.pk}/")
        return page

    return open_page


def connection(page: Page) -> Locator:
    return page.locator("#connection")


def entry(page: Page, job: Job) -> Locator:
    return page.locator(f"#request-{job.public_id}")


def say(page: Page, words: str) -> None:
    page.locator("#action-text").fill(words)
    page.get_by_role("button", name=re.compile("Act|Tell")).click()


def rule(user: User, job: Job, decision: str, **said: Any) -> None:
    """Decide on the request's draft once there is one."""

    def asked() -> Approval | None:
        return Approval.objects.filter(job=job, status="pending").first()

    approval = wait_until(asked, what="an approval")
    assert approval is not None
    decide(user=user, approval_id=approval.pk, version=approval.version, decision=decision, **said)


def test_both_players_see_an_action_become_a_turn_and_the_next_move_up(stack: Stack, enter: Enter, cast: Cast) -> None:
    stack.start()
    pages = [enter(cast.player1), enter(cast.player2)]
    for page in pages:
        expect(connection(page)).to_have_text("live")
    say(pages[0], "I open the cellar door")
    first = wait_until(lambda: Job.objects.roots().first(), what="a request")
    assert first is not None
    for page in pages:
        expect(entry(page, first)).to_contain_text("the DM is deciding")
    expect(pages[0].locator("#action-text")).to_have_value("")
    say(pages[1], "I follow <b>her</b>")
    second = wait_until(lambda: Job.objects.roots().exclude(pk=first.pk).first(), what="a second request")
    assert second is not None
    for page in pages:
        expect(entry(page, second)).to_contain_text("I follow <b>her</b>")
        expect(entry(page, second)).to_contain_text("waits behind player1, on whom the DM decides")
    rule(cast.dm, first, "take_over", text="The door opens onto a stair.")
    for page in pages:
        expect(entry(page, first)).to_contain_text("The door opens onto a stair.")
        expect(entry(page, second)).to_contain_text("the DM is deciding")
        expect(page.locator(".entry")).to_have_count(2)
        expect(page.locator("#state")).to_contain_text("Turn 1")


def test_a_lost_connection_is_said_and_what_was_missed_is_shown_once(stack: Stack, enter: Enter, cast: Cast) -> None:
    stack.start("web")
    page = enter(cast.player1)
    expect(connection(page)).to_have_text("live")
    stack.kill9("web")
    expect(connection(page)).to_have_text("connection lost, reconnecting")
    expect(page.locator("#live")).to_have_text("connection lost, reconnecting")
    missed = act(user=cast.player2, game=cast.game, text="I wait for nobody")
    stack.start("web")
    expect(connection(page)).to_have_text("live", timeout=20_000)
    expect(entry(page, missed)).to_contain_text("I wait for nobody")
    say(page, "I am back")
    expect(page.locator(".entry")).to_have_count(2)
    expect(page.locator(".entry").last).to_contain_text("I am back")


def test_an_action_whose_answer_was_lost_is_sent_again_and_done_once(stack: Stack, enter: Enter, cast: Cast) -> None:
    stack.start("web")
    page = enter(cast.player1)
    sent: list[str] = []

    def lose_the_first_answer(route: WebSocketRoute) -> None:
        server = route.connect_to_server()

        def to_server(message: str | bytes) -> None:
            frame = json.loads(message)
            sent.extend([frame["id"]] if frame["type"] == "action" else [])
            server.send(message)

        def to_page(message: str | bytes) -> None:
            if json.loads(message)["type"] == "ack" and len(sent) == 1:
                route.close(code=1012)
            else:
                route.send(message)

        route.on_message(to_server)
        server.on_message(to_page)

    page.route_web_socket(re.compile("/ws/"), lose_the_first_answer)
    page.reload()
    expect(connection(page)).to_have_text("live")
    say(page, "I open the door once")
    expect(page.locator("#action-text")).to_have_value("")
    assert len(sent) == 2
    assert len(set(sent)) == 1
    assert Job.objects.count() == 1
    expect(page.locator(".entry")).to_have_count(1)
    say(page, "I open another")
    expect(page.locator(".entry")).to_have_count(2)


def test_without_a_socket_an_action_is_posted(stack: Stack, enter: Enter, cast: Cast) -> None:
    stack.start("web")
    page = enter(cast.player1)
    page.route_web_socket(re.compile("/ws/"), lambda route: route.close(code=1011))
    page.reload()
    expect(connection(page)).to_have_text("connection lost, reconnecting")
    say(page, "I knock")
    expect(page.locator(".entry")).to_contain_text("I knock")
    assert Job.objects.count() == 1


def test_a_refusal_stands_beside_the_words_which_stay(stack: Stack, enter: Enter, cast: Cast) -> None:
    stack.start("web")
    page = enter(cast.dm)
    expect(connection(page)).to_have_text("live")
    page.get_by_text("Change the state").click()
    page.get_by_label("Path").first.fill("no such path!")
    say(page, "The bell rings.")
    expect(page.get_by_role("alert")).to_contain_text("changes.0.path")
    expect(page.locator("#action-text")).to_have_value("The bell rings.")
    page.get_by_label("Path").first.fill("party.gold")
    page.get_by_label("Value").first.fill("13")
    page.get_by_role("button", name="Tell").click()
    expect(page.locator(".entry")).to_contain_text("The bell rings.")
    expect(page.get_by_role("alert")).to_have_count(0)
    assert Job.objects.get().payload["changes"] == [{"path": "party.gold", "op": "set", "value": 13, "was": 12}]


def test_whether_a_dm_is_there_is_kept_up(stack: Stack, enter: Enter, cast: Cast) -> None:
    stack.start("web")
    enter(cast.dm)
    wait_until(lambda: Membership.objects.filter(user=cast.dm, seen_at__isnull=False).exists())
    page = enter(cast.player1)
    expect(page.locator("#dm-online")).to_have_text("DM online")


def test_an_ended_session_and_a_lost_membership_are_said(stack: Stack, enter: Enter, cast: Cast) -> None:
    stack.start("web")
    page = enter(cast.player1)
    expect(connection(page)).to_have_text("live")
    Session.objects.all().delete()
    expect(connection(page)).to_contain_text("You are signed out")
    page = enter(cast.player2)
    expect(connection(page)).to_have_text("live")
    Membership.objects.filter(user=cast.player2).delete()
    expect(connection(page)).to_contain_text("no longer a member")
