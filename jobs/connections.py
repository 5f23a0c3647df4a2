"""Database connections for the threads that must never wait for a handler to give one back."""

from __future__ import annotations

from django.db import DEFAULT_DB_ALIAS, InterfaceError, OperationalError, connections
from django.db.utils import load_backend

BY_INDEX = "-c enable_seqscan=off -c enable_bitmapscan=off -c jit=off"
"""The queue looks up few rows of tables that grow, and by index whatever PostgreSQL knows of their sizes: a plan that
was made while a table was small is kept. Entry by entry, which forgets those of rows that have left an index; else
each look would read them all again until the next vacuum. Nothing is compiled: before 18 a table without an index to
go by, as of limits or pauses, counts as so dear that each look at its few rows would be, for 30 ms and more."""

UNREACHABLE = (OperationalError, InterfaceError)
"""What Django raises while the database is away, or too busy: whoever asked, and whatever for."""


def use_direct_connection() -> None:
    """Give this thread a connection of its own, outside the pool that handlers share."""
    settings = connections[DEFAULT_DB_ALIAS].settings_dict
    options = {name: value for name, value in settings["OPTIONS"].items() if name != "pool"}
    if said := options.get("options"):  # else there are none for SQLite, or what is before PostgreSQL refuses them
        options["options"] = f"{said} {BY_INDEX}"
    backend = load_backend(settings["ENGINE"])
    direct = {**settings, "OPTIONS": options, "CONN_MAX_AGE": None}
    connections[DEFAULT_DB_ALIAS] = backend.DatabaseWrapper(direct, DEFAULT_DB_ALIAS)
