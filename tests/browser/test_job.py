"""A job's page in the admin: its log and how it stands come while one looks."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from jobs.operations import logs
from jobs.operations.enqueue import enqueue
from jobs.operations.progress import keep
from jobs.testing import run_until_idle
from tests.browser.people import PATIENCE_MS, Enter
from tests.cast import Cast
from tests.jobs.kinds import TAGGED, Plan
from tests.processes import Stack

pytestmark = pytest.mark.browser


def test_lines_progress_and_the_end_show_without_a_reload(stack: Stack, enter: Enter, cast: Cast) -> None:
    stack.start("web")
    job = enqueue(TAGGED, Plan(text="the last words"))
    logs.write(job, "before", count=1)
    page = enter(cast.admin)
    page.goto(f"/admin/jobs/job/{job.pk}/change/")
    lines, status = page.get_by_role("log", name="End of the log"), page.get_by_role("status")
    expect(lines.get_by_role("listitem")).to_have_count(1)
    page.evaluate("document.body.dataset.loaded = 'once'")
    for n in range(60):
        logs.write(job, f"line {n} <b>", count=1)
    expect(lines.get_by_role("listitem").last).to_contain_text("line 59 <b>", timeout=PATIENCE_MS)
    expect(lines.get_by_role("listitem")).to_have_count(50)
    keep([(job, {"percent": 40})])
    expect(page.locator("#job-live")).to_contain_text('{"percent": 40}', timeout=PATIENCE_MS)
    run_until_idle()
    expect(status).to_contain_text("Completed", timeout=PATIENCE_MS)
    expect(lines.get_by_role("listitem").last).to_contain_text("the last words")
    assert page.evaluate("document.body.dataset.loaded") == "once"


def test_without_javascript_the_page_is_as_old_as_its_load(stack: Stack, enter: Enter, cast: Cast) -> None:
    stack.start("web")
    job = enqueue(TAGGED, Plan())
    logs.write(job, "before", count=1)
    page = enter(cast.admin, java_script_enabled=False)
    page.goto(f"/admin/jobs/job/{job.pk}/change/")
    expect(page.get_by_role("log")).to_contain_text("before")
    logs.write(job, "after", count=1)
    page.reload()
    expect(page.get_by_role("log")).to_contain_text("after")
