"""Who waits for what another transaction has locked, by PostgreSQL's own count."""

from __future__ import annotations

from jobs import statements


def waiting_for_locks() -> int:
    """How many connections wait for a lock now."""
    ((count,),) = statements.ask("SELECT count(*) FROM pg_locks WHERE NOT granted")
    return int(count)
