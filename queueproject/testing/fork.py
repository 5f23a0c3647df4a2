"""Run by ``Nursery``: has imported what our processes take from others, and becomes one of them by a fork.

No setting is read before the fork, and nothing of ours kept: what runs then is the command, from its first line.
"""

import gc
import importlib
import json
import os
import runpy
import socket
import sys
from pathlib import Path

from queueproject.stack.orphans import die_with_parent

OTHERS = [
    "autobahn.twisted.websocket",
    "channels.routing",
    "channels_redis.core",
    "croniter",
    "django.contrib.admin",
    "django.core.management",
    "django.test.signals",
    "httpx",
    "prometheus_client",
    "psycopg_pool",
    "pydantic_settings",
    "redis.asyncio",
    "rq",
    "structlog",
    "twisted.internet.asyncioreactor",
    "twisted.web.http",
    "yaml",
]


def main(channel: socket.socket) -> None:
    """Answer requests, a line of JSON each, until nobody is left to ask. Returns in each new process only."""
    for name in OTHERS:
        importlib.import_module(name)
    gc.freeze()
    with channel, channel.makefile("rw") as lines:
        for line in lines:
            asked = json.loads(line)
            if "pid" in asked:
                told = ended(asked["pid"])
            elif not (told := forked()):
                break
            lines.write(f"{json.dumps(told)}\n")
            lines.flush()
        else:
            os._exit(0)
    become(**asked)


def forked() -> int:
    """As ``os.fork``, and the child has a session of its own by then: whoever kills its group finds it."""
    reader, writer = os.pipe()
    if not (pid := os.fork()):
        os.setsid()
        die_with_parent()
    os.close(writer)
    if pid:
        os.read(reader, 1)
    os.close(reader)
    return pid


def ended(pid: int) -> int | None:
    """The exit status of a child that has ended, negative if a signal ended it."""
    found, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else None


def become(command: list[str], environment: dict[str, str], directory: str, log: str) -> None:
    """Run a Python command as a new process would, with nothing but this environment."""
    output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    for number in (1, 2):
        os.dup2(output, number)
    os.close(output)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(directory)
    forget_ours()
    sys.path[:0] = filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))
    _, *arguments = command
    if arguments[0] == "-m":
        _, module, *arguments = arguments
        sys.path.insert(0, directory)
        sys.argv = [module, *arguments]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    else:
        sys.path.insert(0, str(Path(arguments[0]).parent))
        sys.argv = arguments
        runpy.run_path(arguments[0], run_name="__main__")


def forget_ours() -> None:
    """What found this module: the command may be of another checkout."""
    del sys.path[0]
    for name in [name for name in sys.modules if name.partition(".")[0] == "queueproject"]:
        del sys.modules[name]


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
