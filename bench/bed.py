"""Where everything is measured: a private Redis and PostgreSQL, emptied before each run."""

from __future__ import annotations

import secrets
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
from redis import Redis

from queueproject.stack.commands import manage
from tests import servers

MIGRATED = "bench_migrated"


class Bed:
    """The servers, and the settings of processes that shall use them. Not in debug mode: that keeps every query."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._redis = servers.Redis(directory)
        self._postgres = servers.Postgres(directory)
        self._secret = secrets.token_urlsafe(32)

    def prepare(self) -> None:
        """Let PostgreSQL wait for the disk, as the tests' does not; migrate the database that runs get copies of."""
        self._execute("ALTER SYSTEM RESET ALL")
        self._execute("SELECT pg_reload_conf()")
        self._execute(f"CREATE DATABASE {MIGRATED}")
        subprocess.run(manage("migrate", "--verbosity", "0"), env=self._environment(MIGRATED), check=True)

    def fresh(self, name: str) -> dict[str, str]:
        """The environment for a run that starts with an empty Redis, and a migrated database of this name."""
        with Redis.from_url(self._redis.url) as client:
            client.flushall()
        self._execute(f"CREATE DATABASE {name} TEMPLATE {MIGRATED}")
        return self._environment(name)

    def stop(self) -> None:
        self._postgres.stop()
        self._redis.stop()

    def _environment(self, database: str) -> dict[str, str]:
        return {
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
            "DJANGO_SETTINGS_MODULE": "bench.ours.settings",
            "SECRET_KEY": self._secret,
            "DATABASE_URL": urlunsplit(urlsplit(self._postgres.url)._replace(path=f"/{database}")),
            "REDIS_URL": self._redis.url,
            "SHUTDOWN_SECONDS": "1",
            "TMPDIR": str(self._directory),
        }

    def _execute(self, statement: str) -> None:
        with psycopg.connect(self._postgres.url, autocommit=True) as connection:
            connection.execute(statement.encode())
