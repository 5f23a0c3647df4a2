"""Where incidents are posted to: a server on loopback."""

from __future__ import annotations

import hashlib
import hmac
import threading
from base64 import b64decode, b64encode

from queueproject.testing.loopback import LoopbackExchange, LoopbackServer

HOLD_SECONDS = 60.0


class Receiver(LoopbackServer):
    """Keeps what is posted to it; answers with the statuses it was given, then with 204. Not while it is held."""

    def __init__(self) -> None:
        self.posts: list[tuple[dict[str, str], str]] = []
        self.answers: list[int] = []
        self._open = threading.Event()
        self._open.set()
        super().__init__(_Exchange)

    def hold(self) -> None:
        """Answer nobody until ``release``."""
        self._open.clear()

    def release(self) -> None:
        self._open.set()

    def take(self, headers: dict[str, str], body: str) -> int:
        """Keep a post; the status to answer it with."""
        self.posts.append((headers, body))
        self._open.wait(HOLD_SECONDS)
        return self.answers.pop(0) if self.answers else 204

    def ids(self) -> list[str]:
        """The ``webhook-id`` of each post."""
        return [headers["webhook-id"] for headers, _ in self.posts]


class _Exchange(LoopbackExchange):
    server: Receiver

    def do_POST(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.answer(self.server.take(headers, self.body().decode()), b"")


def signature(secret: str, headers: dict[str, str], body: str) -> str:
    """What the post's signature has to be."""
    text = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.{body}".encode()
    digest = hmac.digest(b64decode(secret.removeprefix("whsec_")), text, hashlib.sha256)
    return f"v1,{b64encode(digest).decode()}"
