"""The processes that the whole is made of, as commands."""

import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent.parent


def manage(*arguments: str) -> list[str]:
    """A ``manage.py`` command."""
    return [sys.executable, str(PROJECT / "manage.py"), *arguments]


def web(port: int) -> list[str]:
    """The web process, on loopback."""
    return [sys.executable, "-m", "daphne", "-b", "127.0.0.1", "-p", str(port), "queueproject.asgi:application"]


def serve(port: int) -> list[str]:
    """Web, worker and scheduler in one process, on loopback."""
    return manage("serve", "--port", str(port))


def worker() -> list[str]:
    """A worker for all queues that its code knows."""
    return manage("worker")


def scheduler() -> list[str]:
    """A scheduler."""
    return manage("scheduler")
