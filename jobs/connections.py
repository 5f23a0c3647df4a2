"""Database connections for the threads that must never wait for a handler to give one back."""

from __future__ import annotations

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.utils import load_backend


def use_direct_connection() -> None:
    """Give this thread a connection of its own, outside the pool that handlers share."""
    settings = connections[DEFAULT_DB_ALIAS].settings_dict
    options = {name: value for name, value in settings["OPTIONS"].items() if name != "pool"}
    backend = load_backend(settings["ENGINE"])
    direct = {**settings, "OPTIONS": options, "CONN_MAX_AGE": None}
    connections[DEFAULT_DB_ALIAS] = backend.DatabaseWrapper(direct, DEFAULT_DB_ALIAS)
