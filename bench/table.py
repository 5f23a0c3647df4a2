"""The rows as people read them: a line for each workload, a column for each system, and whether each aim is met."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.measures import AIMS, Row

OURS = "queueproject"
THEIRS = "django-rq"
WIDTHS = (52, 16, 16)


def lines(rows: Sequence[Row]) -> Iterator[str]:
    """The table, then one line for each aim."""
    found = {(row["workload"], row["system"]): row for row in rows}
    yield _line("", OURS, THEIRS)
    for workload in dict.fromkeys(row["workload"] for row in rows):
        yield _line(workload, *(_value(found.get((workload, system))) for system in (OURS, THEIRS)))
    yield ""
    for workload, aim in AIMS.items():
        row = found.get((workload, OURS))
        verdict = "not measured" if row is None else "met" if aim.met(row) else "MISSED"
        yield f"aim: {workload} < {aim.below:g} {aim.unit}: {verdict}"


def _line(workload: str, *values: str) -> str:
    name, *columns = WIDTHS
    return f"{workload:<{name}}" + "".join(f"{value:>{width}}" for value, width in zip(values, columns, strict=True))


def _value(row: Row | None) -> str:
    return "-" if row is None else f"{row['value']:,.2f} {row['unit']:<3}"
