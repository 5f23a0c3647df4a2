"""Processes that start quickly: forked from one that has done the imports, two thirds of what a start costs."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from queueproject.stack.commands import PROJECT

EVERY_SECONDS = 0.01


class Process(Protocol):
    """What a ``subprocess.Popen`` and a ``Child`` have in common."""

    pid: int

    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, sig: int) -> None: ...


class Child:
    """A process that a nursery has started."""

    def __init__(self, nursery: Nursery, pid: int) -> None:
        self.pid = pid
        self._nursery = nursery
        self._status: int | None = None

    def poll(self) -> int | None:
        """Its exit status if it has ended."""
        if self._status is None:
            self._status = self._nursery.ask(pid=self.pid)
        return self._status

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status, once it has ended; ``subprocess.TimeoutExpired`` after ``timeout`` seconds."""
        began = time.monotonic()
        while (status := self.poll()) is None:
            if timeout is not None and time.monotonic() - began > timeout:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            time.sleep(EVERY_SECONDS)
        return status

    def send_signal(self, sig: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, sig)


class Nursery:
    """Starts Python commands by forking. It ends when closed or with the process that made it, its children with it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        ours, theirs = socket.socketpair()
        with ours, theirs:
            self._lines = ours.makefile("rw")
            self._process = subprocess.Popen(
                [sys.executable, "-m", "queueproject.testing.fork", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                cwd=PROJECT,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    def start(self, command: Sequence[str], *, environment: Mapping[str, str], directory: Path, log: Path) -> Child:
        """Run ``python FILE …`` or ``python -m MODULE …`` in this directory; ``log`` gets all that it prints."""
        pid = self.ask(command=command, environment=dict(environment), directory=str(directory), log=str(log))
        return Child(self, pid)

    def ask(self, **request: Any) -> Any:
        with self._lock:
            self._lines.write(f"{json.dumps(request)}\n")
            self._lines.flush()
            return json.loads(self._lines.readline())

    def close(self) -> None:
        self._lines.close()
        self._process.wait()
