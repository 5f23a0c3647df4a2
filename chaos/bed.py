"""The servers of a run: private ones, that may be killed, or those that are given, which are only disturbed."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
from redis import Redis as Client
from redis.exceptions import RedisError

from tests import servers

OOM_BYTES = "1"
CRASH = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() LIMIT 1"
CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = %s"


class Bed:
    """Redis and the database. ``database``: ``sqlite``, ``postgres``, or the URL of one that is thrown away after."""

    def __init__(self, directory: Path, *, database: str, redis_url: str) -> None:
        self._redis = None if redis_url else servers.Redis(directory)
        self.redis_url = redis_url or self._own_redis.url
        own = "://" not in database
        self._database = servers.database(database, directory) if own else None
        self.database_url = self._database.url if self._database else database
        self.is_postgres = self.database_url.startswith("postgres")
        self.may_crash = own and self.is_postgres
        self.may_kill_redis = self._redis is not None

    @property
    def _own_redis(self) -> servers.Redis:
        assert self._redis is not None
        return self._redis

    def stop(self) -> None:
        if self._database:
            self._database.stop()
        if self._redis:
            self._redis.stop()

    # -- faults --------------------------------------------------------------------------------------------------

    def flush_redis(self) -> None:
        self._ask_redis("FLUSHALL")

    def fill_redis(self) -> None:
        """Redis is out of memory and takes no writes, until ``empty_redis``."""
        self._ask_redis("CONFIG", "SET", "maxmemory", OOM_BYTES)

    def empty_redis(self) -> None:
        self._ask_redis("CONFIG", "SET", "maxmemory", "0")

    def kill_redis(self) -> None:
        self._own_redis.stop()

    def start_redis(self) -> None:
        """It comes back empty."""
        if self._redis:
            self._redis.start()

    def cut_connections(self) -> None:
        """The database's administrator ends every session."""
        self._ask_postgres(CUT, ["client backend"])

    def crash_database(self) -> None:
        """One server process is killed: PostgreSQL drops all sessions at once and recovers from its log."""
        if rows := self._ask_postgres(CRASH, []):
            with suppress(ProcessLookupError):
                os.kill(int(rows[0][0]), signal.SIGKILL)

    def _ask_redis(self, *command: str) -> None:
        with suppress(RedisError), Client.from_url(self.redis_url, socket_timeout=1) as client:
            client.execute_command(*command)

    def _ask_postgres(self, statement: str, parameters: list[str]) -> list[tuple[Any, ...]]:
        with suppress(psycopg.Error), psycopg.connect(self.database_url, autocommit=True) as connection:
            return connection.execute(statement.encode(), parameters).fetchall()
        return []
