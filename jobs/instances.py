"""Models' instances of what a statement returns, at a tenth of what the ORM takes for them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, TypeVar

from django.db import connection, models
from django.db.models.base import ModelState

from jobs.sql import on_postgresql

M = TypeVar("M", bound=models.Model)


def instances(model: type[M], columns: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> list[M]:
    """Rows of these columns, in the model's order, as instances whose other fields are deferred.

    What a row has beyond them is left out.
    """
    names, converters = _read(model, tuple(columns))
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
def _read(model: type[models.Model], columns: tuple[str, ...]) -> tuple[list[str], list[tuple[str, Any]]]:
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
