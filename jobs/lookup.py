"""Looking up the one row that a condition can find."""

from __future__ import annotations

from typing import Any, TypeVar

from django.db.models import QuerySet

Row = TypeVar("Row")


def one(found: QuerySet[Any, Row]) -> Row | None:
    """The row, if there is one.

    ``first()`` would ask for the first by id, for which PostgreSQL goes through all ids there are where it takes the
    table for almost empty, as after a night's cleanup.
    """
    return next(iter(found[:1]), None)
