"""The servers of this run, as its environment names them. Standard library only."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

REDIS_URL = os.environ.get("REDIS_URL", "")
DATABASE_URL = os.environ.get("DATABASE_URL", "")
POSTGRES_DIRECTORY = "BENCH_POSTGRES"
REDIS_PID = "BENCH_REDIS_PID"


def database() -> dict[str, str]:
    """What Django calls NAME, HOST and USER."""
    address = urlsplit(DATABASE_URL)
    query = dict(parse_qsl(address.query))
    return {"NAME": address.path[1:], "USER": address.username or "", "HOST": query["host"]}


def redis_socket() -> str:
    """The file that Redis listens at."""
    return urlsplit(REDIS_URL).path


def postgres_pid() -> int:
    """The process that all of PostgreSQL's descend from."""
    return int((_postgres() / "postmaster.pid").read_text().split()[0])


def redis_pid() -> int:
    return int(os.environ[REDIS_PID])


def postgres_log() -> Path:
    """Where it writes every statement, in databases that are told to."""
    return _postgres() / "log"


def redis_commands() -> int:
    """How many commands Redis has answered."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(redis_socket())
        connection.sendall(b"INFO stats\r\n")
        answer = connection.makefile("rb")
        stats = answer.read(int(answer.readline()[1:])).decode()
    (line,) = (line for line in stats.splitlines() if line.startswith("total_commands_processed:"))
    return int(line.partition(":")[2])


def _postgres() -> Path:
    return Path(os.environ[POSTGRES_DIRECTORY])
