"""What was measured: numbers with a name and a unit, and what the project aims at."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple, TypedDict

Better = Literal["higher", "lower"]


class Measure(NamedTuple):
    """One number of one workload."""

    workload: str
    value: float
    unit: str
    better: Better = "lower"


class Row(TypedDict):
    """A measure of a system, as it is kept in ``var/bench.json``."""

    workload: str
    system: str
    value: float
    unit: str
    better: Better


class Aim(NamedTuple):
    """What a workload's number has to stay below."""

    below: float
    unit: str

    def met(self, row: Row) -> bool:
        """Whether this row reaches it; ``ValueError`` if it is not in the aim's unit."""
        if row["unit"] != self.unit:
            raise ValueError(f"{row['workload']} is in {row['unit']}, its aim in {self.unit}")
        return row["value"] < self.below


AIMS = {
    "submit, 50 clients, p99": Aim(100, "ms"),
    "chat, 50 clients, p99": Aim(100, "ms"),
    "submit to start, p50": Aim(10, "ms"),
    "commit to 500 sockets and 200 streams, p99": Aim(1000, "ms"),
    "400 jobs of 0.5 s, 100 at once: wall": Aim(2.6, "s"),
    "400 jobs of 0.5 s, 100 at once: peak memory": Aim(120, "MB"),
}


def row(system: str, measure: Measure) -> Row:
    return Row(
        workload=measure.workload,
        system=system,
        value=round(measure.value, 2),
        unit=measure.unit,
        better=measure.better,
    )


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of all does not exceed."""
    return sorted(values)[max(math.ceil(share * len(values)), 1) - 1]


def latencies(workload: str, seconds: Sequence[float]) -> list[Measure]:
    """p50 and p99 of these durations, in milliseconds."""
    return [Measure(f"{workload}, p{share}", percentile(seconds, share / 100) * 1000, "ms") for share in (50, 99)]
