"""The staff's page of the queues: live, and readable by all."""

from __future__ import annotations

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from jobs.models_metrics import Incident
from jobs.operations.enqueue import enqueue
from tests.browser.people import PATIENCE_MS, Enter, live
from tests.browser.test_looks import mistakes
from tests.cast import Cast
from tests.jobs.kinds import ECHO, Plan
from tests.processes import Stack

pytestmark = pytest.mark.browser


def waiting(page: Page, queue: str, number: str) -> None:
    """Wait until the page says that so many wait in the queue."""
    cell = page.locator(f'[data-queue="{queue}"] [data-field="depth"]')
    expect(cell).to_have_text(number, timeout=PATIENCE_MS)


def test_what_waits_and_what_is_wrong_shows_without_a_reload(stack: Stack, enter: Enter, cast: Cast) -> None:
    stack.start("web", STATUS_CACHE_SECONDS="0.2")
    page = enter(cast.admin)
    page.goto("/ops/")
    live(page)
    waiting(page, "system", "0")
    enqueue(ECHO, Plan())
    incident = Incident.objects.create(alert="oldest", subject="llm", detail="it is late", opened_at=timezone.now())
    waiting(page, "system", "1")
    alert = page.get_by_role("list", name="Open incidents").get_by_role("listitem")
    expect(alert).to_contain_text("it is late", timeout=PATIENCE_MS)
    assert not mistakes(page), "\n".join(mistakes(page))
    incident.closed_at = timezone.now()
    incident.save()
    expect(alert).to_have_count(0, timeout=PATIENCE_MS)


def test_without_javascript_the_page_tells_the_same_by_reload(stack: Stack, enter: Enter, cast: Cast) -> None:
    stack.start("web", STATUS_CACHE_SECONDS="0.2")
    page = enter(cast.admin, java_script_enabled=False)
    page.goto("/ops/")
    waiting(page, "system", "0")
    enqueue(ECHO, Plan())
    page.reload()
    waiting(page, "system", "1")
