"""How much of a table is read, by the database's own count or plan: for tests that hold how many rows are touched."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from django.db import connection

from jobs import statements
from jobs.connections import use_direct_connection

T = TypeVar("T")

_READ = "SELECT seq_scan, seq_tup_read + idx_tup_fetch FROM pg_stat_user_tables WHERE relname = %(table)s"


def whole_reads(table: str) -> int:
    """How often the table was read as a whole."""
    return _counted(table)[0]


def rows_read(table: str) -> int:
    """How many of its rows were read, those of a later read again."""
    return _counted(table)[1]


def _counted(table: str) -> tuple[int, int]:
    count_now()
    ((scans, rows),) = statements.ask(_READ, table=table)
    return int(scans), int(rows)


def count_now() -> None:
    """What this connection has read; PostgreSQL else adds it ten seconds after it has become idle."""
    if connection.vendor == "postgresql":
        statements.ask("SELECT pg_stat_force_next_flush()")


def forget_statistics(table: str) -> None:
    """As if PostgreSQL had never analysed it: else its plans depend on what autovacuum saw between two tests."""
    indexes = "SELECT indexrelid FROM pg_index WHERE indrelid = %(table)s::regclass"
    known = f"oid = %(table)s::regclass OR oid IN ({indexes})"
    statements.ask(f"UPDATE pg_class SET reltuples = -1, relpages = 0 WHERE {known}", table=table)
    statements.ask("DELETE FROM pg_statistic WHERE starelid = %(table)s::regclass", table=table)


def directly(do: Callable[[], T]) -> T:
    """What this gives on a connection as workers have it."""

    def work() -> T:
        use_direct_connection()
        try:
            return do()
        finally:
            connection.close()

    count_now()  # else it would be in the middle of what is read there
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


class Plans:
    """What PostgreSQL plans for the statements that run while this wraps their execution."""

    def __init__(self) -> None:
        self.pairwise: list[str] = []
        """The conditions by which each row of one set is compared with each of another: 100 of both is 10,000 times."""

    def __call__(self, execute: Callable[..., Any], statement: str, params: Any, many: bool, context: Any) -> Any:
        for each in statement.split(";"):
            self._look(execute, each.replace("current_setting('queueproject.kept')", "'[]'"), params, many, context)
        return execute(statement, params, many, context)

    def _look(self, execute: Callable[..., Any], statement: str, params: Any, many: bool, context: Any) -> None:
        if statement.lstrip().startswith(("WITH", "EXECUTE")):
            execute(f"EXPLAIN {statement}", params, many, context)
            plan = [row[0].strip() for row in context["cursor"].fetchall()]
            self.pairwise += [line for line in plan if line.startswith("Join Filter") and ".id" in line]


def sqlite_scans(table: str, do: Callable[[], object]) -> list[str]:
    """The statements of these acts for which SQLite walks through the table itself and not through an index."""
    found = []

    def plan(execute: Callable[..., Any], statement: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
        if statement.lstrip().startswith(("SELECT", "WITH", "UPDATE")):
            execute(f"EXPLAIN QUERY PLAN {statement}", params, many, context)
            steps = [row[-1] for row in context["cursor"].fetchall()]
            if {f"SCAN {table}", f"SEARCH {table}"}.intersection(steps):
                found.append(statement)
        return execute(statement, params, many, context)

    with connection.execute_wrapper(plan):
        do()
    return found
