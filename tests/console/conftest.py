from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from queueproject.stack.commands import PROJECT
from queueproject.testing.loopback import LoopbackExchange, LoopbackServer, serving
from tests.waiting import wait_until

if TYPE_CHECKING:
    from tests.cast import Cast


@pytest.fixture
def cast(transactional_db: None) -> Cast:
    from tests.cast import assemble  # Models can't be imported before Django is set up, and conftest is.

    return assemble()


ALONE = (sys.executable, "-m", "console")


class Plain:
    """A console in its plain mode behind two pipes."""

    def __init__(self, server: str, token: str, game: str, *options: str, by: Sequence[str] = ALONE) -> None:
        command = [*by, "--plain", "--server", server, "--game", game, *options]
        self.lines: list[str] = []
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=PROJECT,
            env=os.environ | {"CONSOLE_TOKEN": token},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line.rstrip("\n"))

    def type(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def end(self, timeout: float = 60) -> int:
        """No more is typed; its exit status."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        status = self._process.wait(timeout)
        self._reader.join(10)
        return status

    def says(self, start: str, *, times: int = 1, timeout: float = 60) -> str:
        """Wait for a line that begins so; the last of them."""

        def found() -> list[str]:
            lines = [line for line in self.lines if line.startswith(start)]
            return lines if len(lines) >= times else []

        return wait_until(found, timeout, f"{times} lines that begin with {start!r}")[-1]

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        sys.stdout.write("\n".join(["--- console", *self.lines, ""]))  # for pytest to show when the test failed
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()


class NoStreams(LoopbackExchange):
    """A proxy that lets everything through but event streams."""

    server: Proxy

    def do_GET(self) -> None:
        self._forward(None)

    def do_POST(self) -> None:
        body = self.body()
        held, self.server.first_post_seconds = self.server.first_post_seconds, 0.0
        time.sleep(held)
        self._forward(body)

    def _forward(self, body: bytes | None) -> None:
        if self.path.startswith("/v1/events/"):
            return self.answer(405, b"no streams here", Content_Type="text/plain")
        kept = {name: self.headers[name] for name in KEPT if name in self.headers}
        answer = httpx.request(self.command, f"{self.server.target}{self.path}", content=body, headers=kept, timeout=30)
        return self.answer(answer.status_code, answer.content)


KEPT = ("Authorization", "Content-Type", "Idempotency-Key")


class Proxy(LoopbackServer):
    target = ""
    first_post_seconds = 0.0


@pytest.fixture
def way_around() -> Iterator[Callable[..., str]]:
    """``way_around(server)`` is an address of the server at which event streams don't get through.

    The first POST may be held up there for some seconds.
    """
    with serving(Proxy(NoStreams)) as proxy:

        def to(server: str, *, first_post_seconds: float = 0.0) -> str:
            proxy.target, proxy.first_post_seconds = server, first_post_seconds
            return proxy.url

        yield to


@pytest.fixture
def plain() -> Iterator[Callable[..., Plain]]:
    """``plain(server, token, game, …)`` starts a console in its plain mode."""
    started: list[Plain] = []

    def start(*arguments: str, **options: Any) -> Plain:
        started.append(Plain(*arguments, **options))
        return started[-1]

    yield start
    for console in started:
        console.kill()
