"""How much memory a process and those it started need, shared pages counted by share (PSS)."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LEAST_PAUSE_SECONDS = 0.1
DUTY = 0.05
"""Reading a page table stops its process for a moment: at most so much of the time goes into it."""


class Peak:
    """The most that the sessions of these leaders had at any moment they were looked at."""

    def __init__(self, *leaders: int) -> None:
        self.megabytes = 0.0
        self._leaders = leaders

    def look(self) -> None:
        self.megabytes = max(self.megabytes, sum(map(pss_megabytes, session(*self._leaders))))


@contextmanager
def peak(*leaders: int) -> Iterator[Peak]:
    """Look again and again until the block ends, and once more then."""
    found, over = Peak(*leaders), threading.Event()

    def watch() -> None:
        pause = 0.0
        while not over.wait(max(pause, LEAST_PAUSE_SECONDS)):
            began = time.perf_counter()
            found.look()
            pause = (time.perf_counter() - began) / DUTY

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()
        found.look()


def session(*leaders: int) -> list[int]:
    """The processes of these leaders' sessions: themselves and all they started."""
    found = []
    for pid in (int(entry) for entry in os.listdir("/proc") if entry.isdigit()):
        with suppress(ProcessLookupError):
            if os.getsid(pid) in leaders:
                found.append(pid)
    return found


def pss_megabytes(pid: int) -> float:
    """Proportional set size in MB (2**20 bytes); 0 for a process that has ended."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0
