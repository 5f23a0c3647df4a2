"""A client of event streams (SSE), as a browser's ``EventSource``: it comes back with its cursor until it is closed."""

from __future__ import annotations

import threading
import time
from typing import Any

import httpx

from console.sse import Event, Reader
from queueproject.testing.waiting import TIMEOUT_SECONDS, wait_until

RETRY_SECONDS = 0.05
SILENCE_SECONDS = 60
ENDED = (204, 401, 403, 404)


class EventStream:
    """Reads ``url`` on a thread of its own. ``events`` has all that came, in order; ``ids`` their numbers.

    A number that comes again after a cut stands in ``ids`` again. ``cuts`` counts how often the connection broke off,
    ``status`` is that of the last answer.
    """

    def __init__(self, url: str, token: str, *, cursor: int | None = None) -> None:
        self.events: list[Event] = []
        self.ids: list[int] = []
        self.cuts = 0
        self.status = 0
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}", "Accept": "text/event-stream"}
        self._cursor = "" if cursor is None else str(cursor)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def wait_for(self, name: str, timeout: float = TIMEOUT_SECONDS, *, request_id: object = None) -> dict[str, Any]:
        """The data of the first event of this name (of this request) that came or comes."""

        def found() -> list[Event]:
            return [event for event in self.events if event.name == name and _is_of(event, request_id)]

        data: dict[str, Any] = wait_until(found, timeout, f"{name} on {self._url}")[0].data
        return data

    def wait_until_open(self, timeout: float = TIMEOUT_SECONDS) -> None:
        """Until the server has answered with a stream."""
        wait_until(lambda: self.status == 200, timeout, f"a stream at {self._url}")

    def close(self) -> None:
        """Come back no more. What still comes on an open connection is passed over."""
        self._closed.set()

    def _run(self) -> None:
        with httpx.Client(timeout=httpx.Timeout(10, read=SILENCE_SECONDS)) as client:
            while not self._closed.is_set() and self.status not in ENDED:
                try:
                    self._read(client)
                except httpx.HTTPError:
                    self.cuts += 1
                time.sleep(RETRY_SECONDS)

    def _read(self, client: httpx.Client) -> None:
        cursor = {"Last-Event-ID": self._cursor} if self._cursor else {}
        told = ""
        with client.stream("GET", self._url, headers=self._headers | cursor) as answer:
            self.status = answer.status_code
            reader = Reader()
            for raw in answer.iter_bytes() if answer.status_code == 200 else ():
                for event in reader.feed(raw):
                    self._take(event, told)
                    told = event.id
                if self._closed.is_set():
                    return

    def _take(self, event: Event, told: str) -> None:
        if event.id and event.id != told:  # One without a number has that of the event before it.
            self._cursor = event.id
            self.ids.append(int(event.id))
        self.events.append(event)


def _is_of(event: Event, request_id: object) -> bool:
    return request_id is None or event.data.get("request_id") == str(request_id)
