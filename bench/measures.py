"""What was measured: numbers with a name and a unit."""

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


def row(system: str, measure: Measure) -> Row:
    return Row(
        workload=measure.workload,
        system=system,
        value=round(measure.value, 3),
        unit=measure.unit,
        better=measure.better,
    )


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of all does not exceed."""
    return sorted(values)[max(math.ceil(share * len(values)), 1) - 1]


def latencies(workload: str, seconds: Sequence[float]) -> list[Measure]:
    """p50 and p99 of these durations, in milliseconds."""
    return [Measure(f"{workload}, p{share}", percentile(seconds, share / 100) * 1000, "ms") for share in (50, 99)]
