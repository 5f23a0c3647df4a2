"""CPU time of processes and all they started."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(root: int) -> float:
    """User and system time of this process and all beneath it, with those that have ended and were waited for."""
    used, parents = _table()
    return sum(used[pid] for pid in _beneath(root, parents)) / TICKS


def _table() -> tuple[dict[int, int], dict[int, int]]:
    used, parents = {}, {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with suppress(OSError):
                fields = Path(f"/proc/{entry}/stat").read_bytes().rpartition(b")")[2].split()
                parents[int(entry)] = int(fields[1])
                used[int(entry)] = sum(map(int, fields[11:15]))  # utime, stime, and those of children waited for
    return used, parents


def _beneath(root: int, parents: dict[int, int]) -> set[int]:
    found = {root} & parents.keys()
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found
