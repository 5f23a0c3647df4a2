"""Statements over sets of rows, run: each is planned once for a connection.

Planning one costs as much as running it for fifty rows, and as PostgreSQL can't see how many rows an array has, its
plan for one is that for a thousand. What they are made of is ``sql``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import count
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, NotSupportedError, ProgrammingError, connection, connections, transaction

from jobs.sql import on_postgresql

INSERT_ROWS = 1000
"""The most new rows of a kind that one statement writes: bounds what is held in memory as text."""

Rows = Sequence[Mapping[str, Any]]


def one_statement() -> AbstractContextManager[None]:
    """Around a single statement that is its own transaction.

    In PostgreSQL nothing comes between its locks and its commit: no trip, and no process that is stopped there and
    keeps everybody waiting. In SQLite a transaction is what waits in line for the one writer, and is not passed over.
    """
    return nullcontext() if on_postgresql() else transaction.atomic()


def execute(statement: str, rows: Rows, **parameters: Any) -> list[tuple[Any, ...]]:
    """Run a statement over a set; what it returns."""
    return ask(statement, rows=json.dumps(rows), **parameters)


def in_one_trip(statements: Sequence[str], rows: Rows | None, **parameters: Any) -> list[tuple[Any, ...]]:
    """Run statements over a set in one trip to PostgreSQL, as one transaction; what the last returns.

    Each has a snapshot of its own, taken when those before it have got their locks. Without ``rows`` the set is what
    the first, made by ``kept``, finds.
    """
    given = parameters if rows is None else {"rows": json.dumps(rows), **parameters}
    if not _may_prepare():
        return _run(statements, given)
    try:
        return _run([_planned(statement).call() for statement in statements], given, _SAVED)
    except ProgrammingError as error:
        if getattr(error.__cause__, "sqlstate", "") != _UNPLANNED:
            raise
    # The driver has dropped the plans of this connection, as it does after a rollback; some were made again since.
    _known.pop(connection.connection, None)
    if connection.in_atomic_block:
        ask(f"ROLLBACK TO {_SAVED}")
    _forget_plans()
    return _run([_planned(statement).call() for statement in statements], given, _SAVED)


_SAVED = "planned"
_UNPLANNED = "26000"
_KEPT = "queueproject.kept"


@cache
def kept(found: str) -> str:
    """What a SELECT finds, with the locks that it takes, as the set of the statements after it in the same trip."""
    return f"SELECT set_config('{_KEPT}', (SELECT COALESCE(json_agg(f), '[]')::text FROM ({found}) AS f), true)"


def _run(statements: Sequence[str], given: Mapping[str, Any], savepoint: str = "") -> list[tuple[Any, ...]]:
    """What the last of them returns."""
    begin = [f"SAVEPOINT {savepoint}"] if savepoint and connection.in_atomic_block else []
    text = ";".join([*begin, *statements])
    if "rows" not in given:
        text = text.replace("%(rows)s", f"current_setting('{_KEPT}')::json")
    with connection.cursor() as cursor:
        cursor.execute(text, given)
        while cursor.nextset():
            pass
        return list(cursor.fetchall())


_numbers = count(1)
_known: WeakKeyDictionary[Any, set[str]] = WeakKeyDictionary()
"""The names of the statements that each connection has planned."""


class _Planned(NamedTuple):
    """A statement that a connection plans once, by a name in SQL: in the protocol such a one travels alone."""

    name: str
    text: str
    parameters: Sequence[str]

    def call(self) -> str:
        """It is planned first, where it was not."""
        connection.ensure_connection()
        known = _known.setdefault(connection.connection, set())
        if self.name not in known:
            with connection.cursor() as cursor:
                cursor.execute(f"PREPARE {self.name} AS {self.text}")
            known.add(self.name)
        return f"EXECUTE {self.name}({', '.join(f'%({parameter})s' for parameter in self.parameters)})"


@cache
def _planned(statement: str) -> _Planned:
    return _Planned(f"planned_{next(_numbers)}", *_numbered(statement))


_PARAMETER = re.compile(r"%\((\w+)\)s")


@cache
def _numbered(statement: str) -> tuple[str, Sequence[str]]:
    """The statement as PostgreSQL has it, with ``$1`` for the first of these parameters."""
    parameters = list(dict.fromkeys(_PARAMETER.findall(statement)))
    text = _PARAMETER.sub(lambda found: f"${parameters.index(found[1]) + 1}", statement)
    return text.replace("%%", "%"), parameters


@dataclass(frozen=True)
class Twofold:
    """A change of a table's rows that returns their ids first, and an INSERT made of what it returns.

    ``insert`` has ``{changed}`` where a table stands. PostgreSQL does both in one statement, SQLite in two.
    ``before``: a statement over the same set that runs first, so that the change sees all that it waited for;
    PostgreSQL gets it in the same trip, and takes the two for one transaction.
    """

    change: str
    table: str
    insert: str
    before: str = ""

    def execute(self, rows: Rows, **parameters: Any) -> list[tuple[Any, ...]]:
        """Run it over a set; what the change returns."""
        if on_postgresql():
            if self.before:
                return in_one_trip([self.before, self._both], rows, **parameters)
            return execute(self._both, rows, **parameters)
        if self.before:
            execute(self.before, rows, **parameters)
        changed = execute(self.change, rows, **parameters)
        used = rows if "%(rows)s" in self._second else []
        execute(self._second, used, changed=json.dumps([row[0] for row in changed]))
        return changed

    def execute_over(self, found: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """Run it, with what comes ``before``, over what a SELECT finds, in PostgreSQL: all in one trip."""
        return in_one_trip([kept(found), self.before, self._both], None, **parameters)

    @cached_property
    def _both(self) -> str:
        """The same text each time: a long one is not put together again, nor looked at to find its plan."""
        insert = self.insert.replace("{changed}", "changed")
        return f"WITH changed AS ({self.change}), inserted AS ({insert}) SELECT * FROM changed"

    @cached_property
    def _second(self) -> str:
        found = f"(SELECT * FROM {self.table} WHERE id IN (SELECT value FROM json_each(%(changed)s)))"
        return self.insert.replace("{changed}", found)


def ask(statement: str, **parameters: Any) -> list[tuple[Any, ...]]:
    """What a statement without a set returns."""
    if on_postgresql() and _may_prepare():
        return _by_plan(*_numbered(statement), parameters)
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall()) if cursor.description else []


def _may_prepare() -> bool:
    """Statements that are logged, as in debug mode, are logged by a cursor that binds parameters itself."""
    return settings.CONFIG.database_prepare and not connection.queries_logged


def _by_plan(text: str, names: Sequence[str], parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    try:
        return _prepared(text, names, parameters)
    except (NotSupportedError, ProgrammingError) as error:
        if connection.in_atomic_block or getattr(error.__cause__, "sqlstate", "") not in (_OUTDATED, _UNPLANNED):
            raise
    # Nothing was done. After a rollback the driver would forget its plans; else a pool keeps them for whoever is next.
    _forget_plans()
    return _prepared(text, names, parameters)


def _forget_plans() -> None:
    _prepared("DEALLOCATE ALL", [], {})


_OUTDATED = "0A000"
"""A column that the plan returns has another type now."""


def _prepared(text: str, names: Sequence[str], parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """By a cursor that takes the text as it is: others look for parameters in long ones each time."""
    from psycopg import RawCursor

    database: Any = connections[DEFAULT_DB_ALIAS]
    database.ensure_connection()
    database.connection.prepare_threshold = 0
    cursor: Any = RawCursor(database.connection)
    with database.make_cursor(cursor) as wrapped:
        wrapped.execute(text, [parameters[name] for name in names])
        # Asking for a description makes one, column by column, at a tenth of the cost of a small statement.
        return list(cursor.fetchall()) if cursor.pgresult.nfields else []
