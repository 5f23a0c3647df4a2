"""What the project aims at, and whether our numbers reach it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from bench.measures import Better, Row

OURS = "queueproject"
ROWS = 200_000
OPERATIONS = ("list 50", "count by queue and status", "pause", "resume", "cancel")
WITH_BACKLOG = f"with {ROWS:,} waiting in another queue: ratio"


class Aim(NamedTuple):
    """What a workload's number has to reach: at least this if higher is better, else at most."""

    bound: float
    unit: str
    better: Better = "lower"

    def met(self, row: Row) -> bool:
        """Whether this row reaches it; ``ValueError`` if it is not in the aim's unit."""
        if row["unit"] != self.unit:
            raise ValueError(f"{row['workload']} is in {row['unit']}, its aim in {self.unit}")
        return row["value"] >= self.bound if self.better == "higher" else row["value"] <= self.bound

    def __str__(self) -> str:
        return f"at {'least' if self.better == 'higher' else 'most'} {self.bound:,g} {self.unit}"


AHEAD = "drain no-op jobs"
"""Where we aim to be ahead of every other system, whatever it keeps."""

AIMS = {
    "drain no-op jobs": Aim(8000, "/s", "higher"),
    "drain no-op jobs with lanes and scopes": Aim(4000, "/s", "higher"),
    "enqueue in bulk": Aim(10_000, "/s", "higher"),
    "submit to start, p50": Aim(3, "ms"),
    "submit to result, p50": Aim(5, "ms"),
    "400 jobs of 0.5 s, 100 at once: wall": Aim(2.15, "s"),
    "400 jobs of 0.5 s, 100 at once: peak memory": Aim(80, "MB"),
    "1,000 jobs of 0.5 s, 1,000 at once: peak memory": Aim(250, "MB"),
    f"enqueue {WITH_BACKLOG}": Aim(1.1, "x"),
    f"start {WITH_BACKLOG}": Aim(1.1, "x"),
    f"result {WITH_BACKLOG}": Aim(1.1, "x"),
    "drain with every limit on: ratio": Aim(0.9, "x", "higher"),
    **{f"{operation}, {ROWS:,} waiting, p99": Aim(100, "ms") for operation in OPERATIONS},
    "submit, 50 clients, p99": Aim(100, "ms"),
    "chat, 50 clients, p99": Aim(100, "ms"),
    "commit to 500 sockets and 200 streams, p99": Aim(1000, "ms"),
}


def verdicts(rows: Sequence[Row]) -> Iterator[str]:
    """A line for each aim, judged by our numbers."""
    ours = {row["workload"]: row for row in rows if row["system"] == OURS}
    for workload, aim in AIMS.items():
        yield f"aim: {workload}, {aim}: {_verdict(ours.get(workload), aim)}"
    yield f"aim: {AHEAD}, ahead of all others: {_ahead(ours.get(AHEAD), rows)}"


def _verdict(row: Row | None, aim: Aim) -> str:
    return "not measured" if row is None else "met" if aim.met(row) else "MISSED"


def _ahead(ours: Row | None, rows: Sequence[Row]) -> str:
    others = [row["value"] for row in rows if row["workload"] == AHEAD and not row["system"].startswith(OURS)]
    if ours is None or not others:
        return "not measured"
    return "met" if ours["value"] > max(others) else "MISSED"
