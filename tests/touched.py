"""How much of a table PostgreSQL has read, by its own count: for tests that hold how many rows something touches."""

from __future__ import annotations

from jobs import sql

_READ = "SELECT seq_scan, seq_tup_read + idx_tup_fetch FROM pg_stat_user_tables WHERE relname = %(table)s"


def whole_reads(table: str) -> int:
    """How often the table was read as a whole."""
    return _counted(table)[0]


def rows_read(table: str) -> int:
    """How many of its rows were read, those of a later read again."""
    return _counted(table)[1]


def _counted(table: str) -> tuple[int, int]:
    sql.ask("SELECT pg_stat_force_next_flush()")
    ((scans, rows),) = sql.ask(_READ, table=table)
    return int(scans), int(rows)
