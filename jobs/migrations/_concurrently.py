"""Indexes made and dropped while others write: on PostgreSQL nobody waits for it; SQLite knows one way only.

For migrations that are not atomic.
"""

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import connection, migrations

_on_postgresql = connection.vendor == "postgresql"
AddIndex = AddIndexConcurrently if _on_postgresql else migrations.AddIndex
RemoveIndex = RemoveIndexConcurrently if _on_postgresql else migrations.RemoveIndex
