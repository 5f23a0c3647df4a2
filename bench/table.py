"""The rows as people read them: for each number all the systems, the best first, and how they stand to ours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.aims import OURS, verdicts
from bench.measures import Row

WIDTH = 72


def lines(rows: Sequence[Row]) -> Iterator[str]:
    """A block for each number that several systems have, a line for each that only we have, a line for each aim."""
    for workload in dict.fromkeys(row["workload"] for row in rows):
        yield from _block(workload, [row for row in rows if row["workload"] == workload])
    yield ""
    yield from verdicts(rows)


def _block(workload: str, rows: Sequence[Row]) -> Iterator[str]:
    if len(rows) == 1:
        yield f"{workload + _of(rows[0]):<{WIDTH}}{_value(rows[0])}"
        return
    ours = next((row["value"] for row in rows if row["system"] == OURS), 0.0)
    yield workload
    for row in sorted(rows, key=lambda row: row["value"], reverse=rows[0]["better"] == "higher"):
        ratio = f"{row['value'] / ours:10.2f} x ours" if ours and row["system"] != OURS else ""
        yield f"    {row['system']:<{WIDTH - 4}}{_value(row)}{ratio}"


def _of(row: Row) -> str:
    return "" if row["system"] == OURS else f" ({row['system']})"


def _value(row: Row) -> str:
    return f"{row['value']:>12,.2f} {row['unit']:<3}"
