"""What the pages are to those who see little, read by ear, hold a phone, or sit in the dark."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, ViewportSize, expect

from approvals.models import Approval
from approvals.operations import decide
from games import operations
from jobs.models import Job
from tests.browser.complaints import Complaints
from tests.browser.people import Enter, begin, card, entry, open_game, open_queue, shows
from tests.cast import Cast
from tests.processes import Stack
from tests.waiting import wait_until

pytestmark = pytest.mark.browser

AUDIT = Path(__file__).with_name("audit.js").read_text()
PHONE = ViewportSize(width=360, height=740)
DESK = ViewportSize(width=1280, height=900)
LONG = "I read the name on the stone, Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogochwyrndrobwllllan"


def mistakes(page: Page) -> list[str]:
    """What the audit finds on the page as it is now, on a desk and on a phone, in light and in dark."""
    found = []
    for name, size in (("desk", DESK), ("phone", PHONE)):
        for scheme in ("light", "dark"):
            page.set_viewport_size(size)
            page.emulate_media(color_scheme=scheme)
            found += [f"{page.url} {name} {scheme}: {mistake}" for mistake in page.evaluate(AUDIT)]
    return found


def asked(job: Job) -> Approval:
    """The question to the DM about this request, once it is put."""
    found = wait_until(lambda: Approval.objects.filter(job=job, status="pending").first(), what="an approval")
    assert found is not None
    return found


def test_every_page_can_be_read_and_used_by_all(
    stack: Stack, visit: Enter, enter: Enter, cast: Cast, complaints: Complaints
) -> None:
    complaints.excuse("404")
    stack.start(SCRIPTED_FAULTS="refuse@forbidden,invalid_changes@look")
    for text, decision in (("I open the cellar door", "accept"), ("I open the cellar door", "reject")):
        approval = asked(operations.act(user=cast.player1, game=cast.game, text=text))
        decide(user=cast.dm, approval_id=approval.pk, version=1, decision=decision, reason="not now")
    operations.act(user=cast.player1, game=cast.game, text="I say the forbidden word")
    approval = asked(operations.act(user=cast.player1, game=cast.game, text="I look for gold"))
    decide(
        user=cast.dm, approval_id=approval.pk, version=1, decision="reject", reason="make it windier", regenerate=True
    )
    wait_until(lambda: Approval.objects.filter(pk=approval.pk, version=2, status="pending").exists(), what="a redraft")
    operations.act(user=cast.player2, game=cast.game, text=LONG)

    guest, player, dm = visit(), enter(cast.player1), enter(cast.dm)
    guest.goto("/")
    found = mistakes(guest)
    guest.get_by_label("Username").fill("nobody")
    guest.get_by_label("Password").fill("nothing")
    guest.get_by_role("button", name="Sign in").click()
    shows(guest.get_by_role("alert"), "correct username and password")
    found += mistakes(guest)

    player.goto("/")
    found += mistakes(player)
    open_game(player, cast.game)
    shows(entry(player, LONG), "waits behind")
    expect(entry(player, LONG)).to_be_in_viewport(ratio=1)  # One comes in at the newest, not at the opening.
    for status in ("completed", "rejected", "failed", "awaiting_approval", "queued"):
        assert player.locator(f".entry[data-status={status}]").count() == 1
    found += mistakes(player)

    for path in ("/", "/decisions/history/", f"/decisions/{Approval.objects.earliest('created_at').pk}/", "/nothing/"):
        dm.goto(path)
        found += mistakes(dm)
    open_game(dm, cast.game)
    dm.get_by_text("Change the state").click()
    found += mistakes(dm)
    open_queue(dm)
    for way in ("Edit", "Reject", "Take over"):
        begin(card(dm, "I look for gold"), way)
        found += mistakes(dm)
    card(dm, "I look for gold").get_by_text("Earlier versions").click()
    dm.get_by_role("button", name="Keys").click()
    found += mistakes(dm)
    assert not found, "\n".join(found)
