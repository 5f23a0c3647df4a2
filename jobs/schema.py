"""Telling a database that is away from one whose tables are not those of this code."""

from __future__ import annotations

from django.db import OperationalError, ProgrammingError

AWAY = "the database can't be reached; try again soon"
UNMIGRATED = "the database's tables are not those of this code: run `manage.py migrate`"

_SQLITE = ("no such table", "no such column", "has no column named")
_POSTGRESQL = ("42P01", "42703")
"""undefined_table, undefined_column"""


def is_unmigrated(error: BaseException) -> bool:
    """Whether the database answered that it has no such table or column."""
    if isinstance(error, OperationalError):
        return any(words in str(error) for words in _SQLITE)
    return isinstance(error, ProgrammingError) and getattr(error.__cause__, "sqlstate", None) in _POSTGRESQL


def explained(error: BaseException) -> str:
    """What is wrong with the database, for people."""
    return UNMIGRATED if is_unmigrated(error) else AWAY
