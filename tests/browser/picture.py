"""``python -m tests.browser.picture``: takes docs/decision-card.png of the demo that ``make run`` has started.

The player of the demo acts in its first game; the card that the DM is shown for it is photographed, and left there.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from playwright.sync_api import Page, sync_playwright

PROJECT = Path(__file__).resolve().parent.parent.parent
PICTURE = PROJECT / "docs" / "decision-card.png"
DEED = "I open the cellar door with the crowbar and hold my lantern into the dark."


def main(demo_file: Path) -> None:
    demo: dict[str, Any] = json.loads(demo_file.read_text())
    asked = act(demo)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(
            base_url=demo["base_url"], viewport={"width": 960, "height": 900}, device_scale_factor=2
        )
        sign_in(page, "dm", demo["users"]["dm"]["password"])
        page.goto("/decisions/")
        card = page.locator("[data-approval]", has_text=DEED).last
        card.wait_for()
        card.screenshot(path=PICTURE, animations="disabled")
        browser.close()
    sys.stdout.write(f"{PICTURE} shows the card of request {asked}\n")


def act(demo: dict[str, Any]) -> str:
    """Act over HTTP as a program does; the request's id."""
    request = Request(
        f"{demo['base_url']}/v1/games/{demo['games'][0]['id']}/actions",
        data=json.dumps({"text": DEED}).encode(),
        headers={"Authorization": f"Bearer {demo['users']['player1']['token']}", "Content-Type": "application/json"},
    )
    with urlopen(request) as response:
        return str(json.load(response)["request_id"])


def sign_in(page: Page, name: str, password: str) -> None:
    page.goto("/")
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Your games").wait_for()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else PROJECT / "var" / "demo.json")
