"""Sets of rows in one statement, for the few places where every job passes; everything else is Django's ORM.

A set travels as one JSON array and is read as a table, alike on PostgreSQL and SQLite: an ORM transaction for each job
costs twenty times as much. The statements are prepared: planning one costs as much as running it for fifty rows, and
as PostgreSQL can't see how many rows an array has, its plan for one is that for a thousand.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from functools import cache, cached_property
from itertools import count
from typing import Any, NamedTuple, TypeVar
from weakref import WeakKeyDictionary

from django.conf import settings
from django.db import NotSupportedError, ProgrammingError, connection, connections, models, transaction
from django.db.models.base import ModelState

M = TypeVar("M", bound=models.Model)

INSERT_ROWS = 1000
"""The most new rows of a kind that one statement writes: bounds what is held in memory as text."""

Rows = Sequence[Mapping[str, Any]]


def on_postgresql() -> bool:
    """Which of the two dialects is spoken."""
    return bool(connection.vendor == "postgresql")


def one_statement() -> AbstractContextManager[None]:
    """Around a single statement that is its own transaction.

    In PostgreSQL nothing comes between its locks and its commit: no trip, and no process that is stopped there and
    keeps everybody waiting. In SQLite a transaction is what waits in line for the one writer, and is not passed over.
    """
    return nullcontext() if on_postgresql() else transaction.atomic()


def table(parameter: str = "rows", /, **columns: str) -> str:
    """The set in this parameter as a table ``f`` with these columns and PostgreSQL types, for FROM."""
    if on_postgresql():
        types = ", ".join(f"{name} {type_}" for name, type_ in columns.items())
        return f"json_to_recordset(%({parameter})s::json) AS f({types})"
    values = ", ".join(f"value->>'{name}' AS {name}" for name in columns)
    return f"(SELECT {values} FROM json_each(%({parameter})s)) AS f"


def as_json(column: str) -> str:
    """A text column of the set as a value of a JSON column."""
    return f"{column}::jsonb" if on_postgresql() else column


def now() -> str:
    """The database's clock, as ``django.db.models.functions.Now`` has it."""
    return "STATEMENT_TIMESTAMP()" if on_postgresql() else "STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'now')"


def locked(skip: bool = False) -> str:
    """The end of a SELECT that locks its rows; SQLite has one writer at a time anyway."""
    if not on_postgresql():
        return ""
    return "FOR NO KEY UPDATE SKIP LOCKED" if skip else "FOR NO KEY UPDATE"


def among(source: str, column: str = "id") -> str:
    """A condition on a column that looks values up one by one."""
    values = f"SELECT {column} FROM {source}"
    return f"{column} = ANY(ARRAY({values}))" if on_postgresql() else f"{column} IN ({values})"


def lock(columns: str, table: str, source: str, *, skip: bool = False) -> str:
    """A SELECT of the rows of a table whose ids are in a set, locked in the order of their ids."""
    return f"SELECT {columns} FROM {table} WHERE {among(source)} ORDER BY {_computed('id')} {locked(skip)}"


def those(table: str, source: str, values: str) -> str:
    """The condition of an UPDATE of the rows of a table whose ids are in a set, FROM a set that has their ``values``.

    That one has to be as it was given, or made by ``beside``: what was found PostgreSQL may take for a single row, and
    then compares each with each.
    """
    return f"{table}.{among(source)} AND {_computed(f'{table}.id')} = {values}.id"


def beside(source: str, found: str, *columns: str) -> str:
    """A SELECT of all ids of a set as it was given, each with these columns of what was found of it, if anything."""
    return f"SELECT s.id, {', '.join(columns)} FROM {source} AS s LEFT JOIN {found} ON {found}.id = s.id"


def listed(columns: str, source: str) -> str:
    """A condition that a set has these values, which are looked up in it, not compared with those of each row.

    A mere ``IN`` PostgreSQL would make a join of, by comparing, where it takes either side for a single row.
    """
    return f"(({columns}) IN (SELECT {columns} FROM {source})) IS TRUE"


def different(table: str, column: str, condition: str) -> str:
    """A SELECT of the values that a column has, where an index begins with it and is of rows of this condition.

    Each is found from the one before: asking for what differs reads all rows.
    """
    return f"""
        WITH RECURSIVE found AS (
            SELECT min({column}) AS value FROM {table} WHERE {condition}
            UNION ALL
            SELECT (SELECT min({column}) FROM {table} WHERE {column} > found.value AND {condition})
            FROM found WHERE value IS NOT NULL
        )
        SELECT value FROM found WHERE value IS NOT NULL"""


def _computed(column: str) -> str:
    """The same number, but nothing that PostgreSQL has an index of.

    Where it takes a table for almost empty, as after a night's cleanup, it would else walk through all of the index to
    have the rows in this order, for that seems no dearer than to look up a few; and there may be a million by now.
    """
    return f"{column} + 0" if on_postgresql() else column


def flag(parameter: str) -> str:
    """A parameter that is true or false."""
    return f"%({parameter})s::boolean" if on_postgresql() else f"%({parameter})s"


def text(value: Any) -> str | None:
    """A value for ``as_json``; ``None`` is SQL's NULL."""
    return None if value is None else json.dumps(value)


def json_object(**columns: str) -> str:
    """A JSON object of these columns."""
    pairs = ", ".join(f"'{name}', {column}" for name, column in columns.items())
    return f"jsonb_build_object({pairs})" if on_postgresql() else f"json_object({pairs})"


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

    database: Any = connections[connection.alias]
    database.ensure_connection()
    database.connection.prepare_threshold = 0
    cursor: Any = RawCursor(database.connection)
    with database.make_cursor(cursor) as wrapped:
        wrapped.execute(text, [parameters[name] for name in names])
        # Asking for a description makes one, column by column, at a tenth of the cost of a small statement.
        return list(cursor.fetchall()) if cursor.pgresult.nfields else []


def instances(model: type[M], columns: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> list[M]:
    """Rows of these columns, in the model's order, as instances whose other fields are deferred.

    What a row has beyond them is left out.
    """
    names, converters = _of_vendor(model, tuple(columns), connection.vendor)
    alias = connection.alias
    found = []
    for row in rows:
        values = dict(zip(names, row, strict=False))
        for name, convert in converters:
            if values[name] is not None:
                values[name] = convert(values[name])
        found.append(made(model, values, alias=alias))
    return found


def made(model: type[M], values: Mapping[str, Any], *, alias: str | None = None) -> M:
    """An instance of these values by the fields' names, as by unpickling: its constructor costs ten times as much.

    ``alias``: of the database that it is in; without one it has yet to be recorded.
    """
    instance = model.__new__(model)
    state = ModelState()
    state.adding, state.db = alias is None, alias
    instance.__dict__.update(values, _state=state)
    return instance


def returned(model: type[models.Model], columns: Sequence[str]) -> str:
    """These columns for RETURNING, as ``instances`` reads them."""
    table = model._meta.db_table
    times = {field.column for field in model._meta.concrete_fields if isinstance(field, models.DateTimeField)}
    as_text = times if on_postgresql() else ()  # psycopg makes a time of a row at ten times the cost
    return ", ".join(f"{table}.{column}{'::text' if column in as_text else ''}" for column in columns)


@cache
def _of_vendor(
    model: type[models.Model], columns: tuple[str, ...], vendor: str
) -> tuple[list[str], list[tuple[str, Any]]]:
    """The fields' names, and what turns the raw values of some, by name, into theirs."""
    fields = [next(field for field in model._meta.concrete_fields if field.column == column) for column in columns]
    converters = [(field.attname, converter(field)) for field in fields]
    return [field.attname for field in fields], [(name, convert) for name, convert in converters if convert]


def converter(field: models.Field[Any, Any]) -> Callable[[Any], Any] | None:
    """What turns a value that was ``returned`` into the field's; ``None`` if it is that already."""
    if isinstance(field, models.DateTimeField) and on_postgresql():
        return datetime.fromisoformat
    if isinstance(field, models.JSONField) and field.decoder is None:
        return json.loads
    column = field.get_col(field.model._meta.db_table)
    chain = [*connection.ops.get_db_converters(column), *field.get_db_converters(connection)]

    def convert(value: Any) -> Any:
        for each in chain:
            value = each(value, column, connection)
        return value

    return convert if chain else None
