"""The words of statements over sets of rows, in the dialects of PostgreSQL and SQLite.

For the few places where every job passes; everything else is Django's ORM. A set travels as one JSON array and is read
as a table, alike on both: an ORM transaction for each job costs twenty times as much.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from typing import Any

from django.db import connection


@cache
def on_postgresql() -> bool:
    """Which of the two dialects is spoken, by all of the process."""
    return bool(connection.vendor == "postgresql")


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


def text(value: Any) -> str | None:
    """A value for ``as_json``; ``None`` is SQL's NULL."""
    return None if value is None else json.dumps(value)


def now() -> str:
    """The database's clock, as ``django.db.models.functions.Now`` has it."""
    return "STATEMENT_TIMESTAMP()" if on_postgresql() else "STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'now')"


def minute(time: str) -> str:
    """How many whole minutes a time is after 1970 began."""
    if on_postgresql():
        return f"FLOOR(DATE_PART('epoch', {time}) / 60)::bigint"
    return f"STRFTIME('%%s', {time}) / 60"


def seconds(until: str, since: str) -> str:
    """How many seconds lie between two times; clocks of two machines may make it fewer than none, which is none."""
    if on_postgresql():
        return f"GREATEST(DATE_PART('epoch', {until} - {since}), 0)"
    return f"MAX((julianday({until}) - julianday({since})) * 86400, 0)"


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


def join_one(table: str, name: str, id_: str, columns: str) -> str:
    """A join with the row of a table that has this id, looked up by index.

    Of a mere join PostgreSQL compares each row with each, where it takes either side for a single one.
    """
    if on_postgresql():
        return f"CROSS JOIN LATERAL (SELECT {columns} FROM {table} WHERE id = {id_} LIMIT 1) AS {name}"
    return f"JOIN {table} {name} ON {name}.id = {id_}"


def listed(columns: str, source: str) -> str:
    """A condition that a set has these values, which are looked up in it, not compared with those of each row.

    A mere ``IN`` PostgreSQL would make a join of, by comparing, where it takes either side for a single row.
    """
    return f"(({columns}) IN (SELECT {columns} FROM {source})) IS TRUE"


def one_of(values: Iterable[str]) -> str:
    """The end of a condition that a column has one of these values, in the words of an index with that condition."""
    constants = ", ".join(f"'{value}'" for value in sorted(values))
    return f"IN ({constants})"


def beneath(column: str, path: str) -> str:
    """A condition that a path lies beneath another one, by an index: ``0`` is what comes after ``/``.

    In PostgreSQL one with the operators for patterns, which compare bytes: others go by the database's collation.
    """
    least, less = ("~>=~", "~<~") if on_postgresql() else (">=", "<")
    return f"{column} {least} ({path} || '/') AND {column} {less} ({path} || '0')"


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


def json_object(**columns: str) -> str:
    """A JSON object of these columns."""
    pairs = ", ".join(f"'{name}', {column}" for name, column in columns.items())
    return f"jsonb_build_object({pairs})" if on_postgresql() else f"json_object({pairs})"
