"""The decision queue in a browser: cards come and go by themselves, keys decide, and nothing that is typed is lost."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import Locator, Page, expect

from approvals.models import Approval
from approvals.operations import decide
from games.operations import act
from jobs.models import Job
from tests import cast as games
from tests.processes import Stack
from tests.waiting import wait_until

pytestmark = pytest.mark.browser

Enter = Callable[..., Page]


@pytest.fixture
def cast(db: None) -> games.Cast:
    return games.assemble()


@pytest.fixture
def enter(stack: Stack, new_page: Callable[..., Page], cast: games.Cast) -> Enter:
    """Opens the decision queue in a browser of the user's own."""

    def open_page(user: User, path: str = "/decisions/", **options: Any) -> Page:
        session = Client()
        session.force_login(user)
        page = new_page(**options)
        value = session.cookies[settings.SESSION_COOKIE_NAME].value
        page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": value, "url": stack.base_url}])
        page.goto(path)
        return page

    return open_page


def ask(user: User, game: Any, text: str) -> Approval:
    """A player acts; the approval, once the worker has made a draft."""
    job = act(user=user, game=game, text=text)
    found = wait_until(lambda: Approval.objects.filter(job=job, status="pending").first(), what="an approval")
    assert found is not None
    return found


def ask_two(cast: games.Cast) -> tuple[Approval, Approval]:
    """In two games, because the actions of one wait for each other."""
    return ask(cast.player1, cast.game, "I look around"), ask(cast.player1, cast.other, "I climb the tower")


def card(page: Page, approval: Approval) -> Locator:
    return page.locator(f"#approval-{approval.pk}")


def live(page: Page) -> None:
    expect(page.locator("#connection")).to_have_text("live")


def ended(approval: Approval) -> Job:
    """Its job, once it has ended."""
    job = wait_until(lambda: Job.objects.filter(approvals=approval, finished_at__isnull=False).first(), what="the end")
    assert job is not None
    return job


def test_a_card_appears_by_itself_and_a_key_accepts_it(stack: Stack, enter: Enter, cast: games.Cast) -> None:
    stack.start()
    page = enter(cast.dm)
    live(page)
    expect(page.locator("[data-empty]")).to_be_visible()
    first, second = ask_two(cast)
    expect(card(page, first)).to_contain_text("I look around")
    expect(card(page, second)).to_contain_text(re.compile(r"due in \d+:\d\d"))
    expect(page.locator("[data-empty]")).to_be_hidden()
    expect(page.locator("#live")).to_contain_text("New: The Tower: player1")
    page.keyboard.press("j")
    expect(card(page, first)).to_be_focused()
    page.keyboard.press("a")
    expect(card(page, first)).to_have_count(0)
    expect(card(page, second)).to_be_focused()
    expect(page.locator("#live")).to_have_text("Accepted by dm.")
    assert ended(first).outcome == "done"
    assert Approval.objects.get(pk=second.pk).status == "pending"


def test_an_edit_and_a_redraft_by_keys(stack: Stack, enter: Enter, cast: games.Cast) -> None:
    stack.start()
    first, second = ask_two(cast)
    page = enter(cast.dm)
    live(page)
    page.keyboard.press("j")
    page.keyboard.press("e")
    box = card(page, first).get_by_label("What the players will read")
    expect(box).to_be_focused()
    box.fill("Nothing but dust, and a <b>door</b>.")
    card(page, first).get_by_role("button", name="Accept as edited").click()
    result: Any = ended(first).result
    assert result["narration"] == "Nothing but dust, and a <b>door</b>."
    expect(card(page, second)).to_be_focused()
    page.keyboard.press("r")
    page.keyboard.type("make it windier")
    page.keyboard.press("Escape")
    expect(card(page, second)).to_be_focused()
    page.keyboard.press("r")
    expect(card(page, second).get_by_label("Why")).to_have_value("make it windier")
    card(page, second).get_by_role("button", name="Draft again").click()
    expect(card(page, second)).to_contain_text("version 2, draft 2 of 5")
    card(page, second).get_by_text("Earlier versions").click()
    expect(card(page, second)).to_contain_text("“make it windier”")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("edit and accept")


def test_what_another_decides_meanwhile_is_said_and_typed_text_stays(
    stack: Stack, enter: Enter, cast: games.Cast
) -> None:
    stack.start()
    first, second = ask_two(cast)
    page = enter(cast.dm)
    live(page)
    card(page, first).locator("summary", has_text="Take over").click()
    box = card(page, first).get_by_label("What happens, in your words")
    box.fill("My own long words")
    decide(user=cast.dm2, approval_id=first.pk, version=1, decision="reject", reason="not now")
    expect(card(page, first)).to_contain_text("Rejected by dm2. “not now”")
    expect(box).to_have_value("My own long words")
    expect(box).to_be_focused()
    expect(card(page, first).get_by_role("button", name="Tell it so")).to_be_disabled()
    decide(user=cast.dm, approval_id=second.pk, version=1, decision="accept")
    expect(card(page, second)).to_have_count(0)


def test_who_comes_late_sees_who_decided_and_keeps_what_was_typed(stack: Stack, enter: Enter, cast: games.Cast) -> None:
    stack.start()
    approval = ask(cast.player1, cast.game, "I look around")
    page = enter(cast.dm)
    live(page)
    page.route("**/decisions/pending/**", lambda route: route.abort())
    card(page, approval).locator("summary", has_text="Edit").click()
    card(page, approval).get_by_label("What the players will read").fill("An edit in vain")
    decide(user=cast.dm2, approval_id=approval.pk, version=1, decision="accept")
    card(page, approval).get_by_role("button", name="Accept as edited").click()
    expect(card(page, approval).get_by_role("alert").first).to_contain_text("version 1 was accepted by dm2")
    expect(card(page, approval).get_by_label("What you wrote")).to_have_value("An edit in vain")
    assert approval.decisions.count() == 1


def test_nothing_moves_under_the_card_in_use(stack: Stack, enter: Enter, cast: games.Cast) -> None:
    stack.start()
    first, second = ask_two(cast)
    page = enter(cast.dm)
    live(page)
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(card(page, second)).to_be_focused()
    before = card(page, second).bounding_box()
    decide(user=cast.dm2, approval_id=first.pk, version=1, decision="reject", reason="no")
    expect(card(page, first)).to_contain_text("Rejected by dm2")
    cast.game.decision_seconds = 60
    cast.game.save()
    urgent = ask(cast.player2, cast.game, "Quick!")
    expect(card(page, urgent)).to_be_visible()
    ids = page.locator("[data-approval]").evaluate_all("cards => cards.map((card) => card.dataset.approval)")
    assert ids == [str(found.pk) for found in (first, second, urgent)]
    expect(card(page, second)).to_be_focused()
    after = card(page, second).bounding_box()
    assert before is not None
    assert after is not None
    assert after["y"] == pytest.approx(before["y"], abs=2)
    page.reload()
    expect(page.locator("[data-approval]").first).to_have_attribute("data-approval", str(urgent.pk))


def test_the_queue_works_without_javascript(stack: Stack, enter: Enter, cast: games.Cast) -> None:
    stack.start()
    approval = ask(cast.player1, cast.game, "I look around")
    page = enter(cast.dm, java_script_enabled=False)
    card(page, approval).locator("summary", has_text="Reject").click()
    card(page, approval).get_by_label("Why").fill("not like this")
    card(page, approval).get_by_role("button", name="Close the request").click()
    expect(page.get_by_text("Done: rejected.")).to_be_visible()
    expect(page.get_by_text("Nothing waits for a decision.")).to_be_visible()
    assert ended(approval).outcome == "rejected"
    page.get_by_role("link", name="History").click()
    expect(page.get_by_role("row", name=re.compile("I look around"))).to_contain_text("rejected")


def test_a_lost_connection_is_said_and_the_queue_catches_up(stack: Stack, enter: Enter, cast: games.Cast) -> None:
    stack.start()
    page = enter(cast.dm)
    live(page)
    stack.kill9("web")
    expect(page.locator("#connection")).to_have_text("connection lost, reconnecting")
    approval = ask(cast.player1, cast.game, "I look around")
    stack.start("web")
    expect(page.locator("#connection")).to_have_text("live", timeout=20_000)
    expect(card(page, approval)).to_be_visible()


def test_a_decision_that_does_not_get_through_is_said_and_can_be_sent_again(
    stack: Stack, enter: Enter, cast: games.Cast
) -> None:
    stack.start()
    approval = ask(cast.player1, cast.game, "I look around")
    page = enter(cast.dm)
    live(page)
    page.route(f"**/decisions/{approval.pk}/", lambda route: route.abort())
    page.keyboard.press("j")
    page.keyboard.press("a")
    expect(card(page, approval)).to_contain_text("This did not get through")
    page.unroute(f"**/decisions/{approval.pk}/")
    page.keyboard.press("a")
    assert ended(approval).outcome == "done"


def test_hostile_text_runs_nothing(stack: Stack, enter: Enter, cast: games.Cast) -> None:
    stack.start()
    approval = ask(cast.player1, cast.game, "<img src=x onerror=alert(1)><script>alert(2)</script>")
    page = enter(cast.dm)
    page.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
    live(page)
    expect(card(page, approval)).to_contain_text("<img src=x onerror=alert(1)>")
    page.goto(f"/decisions/{approval.pk}/")
    expect(card(page, approval)).to_contain_text("<script>alert(2)</script>")


def test_the_card_on_its_own_page_says_what_became_of_it(stack: Stack, enter: Enter, cast: games.Cast) -> None:
    stack.start()
    approval = ask(cast.player1, cast.game, "I look around")
    page = enter(cast.dm, f"/decisions/{approval.pk}/")
    live(page)
    page.keyboard.press("t")
    expect(card(page, approval).get_by_label("What happens, in your words")).to_be_focused()
    decide(user=cast.dm2, approval_id=approval.pk, version=1, decision="accept")
    expect(card(page, approval)).to_contain_text("Accepted by dm2.")
    expect(card(page, approval).get_by_role("button", name="Tell it so")).to_be_disabled()
