"""A terminal of some size with the console in it: a real pty, and what stands on its screen."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
import threading
from contextlib import suppress
from functools import partial

import pyte

from queueproject.stack.commands import PROJECT
from tests.waiting import wait_until

CTRL_R, CTRL_Q = "\x12", "\x11"
READ_BYTES = 65536


class Terminal:
    """``python -m console`` at a terminal of so many columns and rows."""

    def __init__(self, server: str, token: str, game: str, *, columns: int, rows: int) -> None:
        self._lock = threading.Lock()
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)
        self._master, slave = pty.openpty()
        self._size(slave, columns, rows)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "console", "--server", server, "--token", token, "--game", game],
            cwd=PROJECT,
            env=os.environ | {"TERM": "xterm-256color", "COLUMNS": "", "LINES": ""},
            preexec_fn=partial(os.login_tty, slave),  # A terminal of its own tells it when its size changes.
        )
        os.close(slave)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def shown(self) -> str:
        """The screen's rows, without the spaces at their ends."""
        with self._lock:
            return "\n".join(row.rstrip() for row in self._screen.display)

    def sees(self, text: str, timeout: float = 60) -> None:
        """Wait until this stands in one of the rows."""
        try:
            wait_until(lambda: text in self.shown, timeout, f"{text!r} on the screen")
        except AssertionError:
            print(f"--- terminal\n{self.shown}")  # noqa: T201 - pytest shows it
            raise

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def resize(self, columns: int, rows: int) -> None:
        """As a person does who pulls at the window's corner."""
        with self._lock:
            self._screen.resize(rows, columns)
            self._size(self._master, columns, rows)

    def end(self, timeout: float = 30) -> int:
        """Quit by the key; the exit status."""
        self.type(CTRL_Q)
        return self._process.wait(timeout)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join(10)
        os.close(self._master)

    def _read(self) -> None:
        with suppress(OSError):  # The other end is closed.
            while piece := os.read(self._master, READ_BYTES):
                with self._lock:
                    self._stream.feed(piece)

    @staticmethod
    def _size(terminal: int, columns: int, rows: int) -> None:
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
