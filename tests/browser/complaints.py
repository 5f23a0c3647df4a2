"""What no page may do, whoever looks at it."""

from __future__ import annotations

from playwright.sync_api import ConsoleMessage, Dialog, Page, Response


class Complaints:
    """What pages did of it. A test that provokes some says so with ``excuse``."""

    def __init__(self) -> None:
        self._heard: list[str] = []
        self._excused: list[str] = []

    def excuse(self, words: str) -> None:
        """Complaints with these words are expected here."""
        self._excused.append(words)

    def listen(self, page: Page) -> None:
        page.on("console", self._console)
        page.on("dialog", self._dialog)
        page.on("response", self._response)

    def left(self) -> list[str]:
        """Those that nobody expected."""
        return [heard for heard in self._heard if not any(words in heard for words in self._excused)]

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self._heard.append(message.text)

    def _dialog(self, dialog: Dialog) -> None:
        self._heard.append(f"a script ran: {dialog.message}")
        dialog.dismiss()

    def _response(self, response: Response) -> None:
        if response.status >= 500:
            self._heard.append(f"{response.status} from {response.url}")
        policy = response.headers.get("content-security-policy", "")
        if response.request.resource_type == "document" and "script-src 'self';" not in f"{policy};":
            self._heard.append(f"no strict policy on {response.url}: {policy}")
