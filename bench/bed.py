"""Where everything is measured: a private Redis and PostgreSQL, emptied before each run."""

from __future__ import annotations

import secrets
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

import psycopg
from redis import Redis

from bench.systems import bodies
from bench.systems.servers import POSTGRES_DIRECTORY, REDIS_PID
from queueproject.stack.commands import manage
from tests import servers

MIGRATED = "bench_migrated"

Kind = Literal["migrated", "empty", "sqlite"]
"""A PostgreSQL database with our tables in it, or without any; or SQLite with ours."""


class Bed:
    """The servers, and the settings of processes that shall use them. Not in debug mode: that keeps every query."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._redis = servers.Redis(directory)
        self._postgres = servers.Postgres(directory)
        self._stamp = directory / "stamp"
        self._secret = secrets.token_urlsafe(32)

    def prepare(self) -> None:
        """Let PostgreSQL wait for the disk, as the tests' does not; migrate the databases that runs get copies of."""
        self._execute("ALTER SYSTEM RESET ALL")
        self._execute("SELECT pg_reload_conf()")
        self._execute(f"CREATE DATABASE {MIGRATED}")
        for url in (self._postgres_url(MIGRATED), self._sqlite_url(MIGRATED)):
            subprocess.run(manage("migrate", "--verbosity", "0"), env=self._environment(url), check=True)

    def fresh(self, name: str, kind: Kind, *, logged: bool = False) -> dict[str, str]:
        """The environment for a run that starts with an empty Redis, and a database of this name and kind."""
        with Redis.from_url(self._redis.url) as client:
            client.flushall()
        self._stamp.touch()
        if kind == "sqlite":
            shutil.copy(self._sqlite_file(MIGRATED), self._sqlite_file(name))
            return self._environment(self._sqlite_url(name))
        self._execute(f"CREATE DATABASE {name}" + (f" TEMPLATE {MIGRATED}" if kind == "migrated" else ""))
        if logged:
            self._execute(f"ALTER DATABASE {name} SET log_statement = 'all'")
        return self._environment(self._postgres_url(name))

    def stop(self) -> None:
        self._postgres.stop()
        self._redis.stop()

    def _environment(self, database_url: str) -> dict[str, str]:
        with Redis.from_url(self._redis.url) as client:
            redis_pid = client.info("server")["process_id"]
        return {
            "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
            "DJANGO_SETTINGS_MODULE": "bench.ours.settings",
            "SECRET_KEY": self._secret,
            "DATABASE_URL": database_url,
            "REDIS_URL": self._redis.url,
            "SHUTDOWN_SECONDS": "1",
            "TMPDIR": str(self._directory),
            bodies.STAMP_FILE: str(self._stamp),
            POSTGRES_DIRECTORY: str(self._directory / "pg"),
            REDIS_PID: str(redis_pid),
        }

    def _postgres_url(self, name: str) -> str:
        return urlunsplit(urlsplit(self._postgres.url)._replace(path=f"/{name}"))

    def _sqlite_url(self, name: str) -> str:
        return f"sqlite:///{self._sqlite_file(name)}"

    def _sqlite_file(self, name: str) -> Path:
        return self._directory / f"{name}.sqlite3"

    def _execute(self, statement: str) -> None:
        with psycopg.connect(self._postgres.url, autocommit=True) as connection:
            connection.execute(statement.encode())
