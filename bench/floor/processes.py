"""The stock processes of a project with django-rq."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from django_rq import get_connection
from rq import Worker

from bench.memory import session
from queueproject.stack.commands import PROJECT
from queueproject.stack.orphans import die_with_parent
from tests.processes import free_port
from tests.waiting import wait_until

START_SECONDS = 30
STOP_SECONDS = 10


@contextmanager
def web() -> Iterator[str]:
    """The same web server as ours; its address."""
    port = free_port()
    with _running("daphne", "-b", "127.0.0.1", "-p", str(port), "bench.floor.asgi:application"):
        wait_until(lambda: _listens(port), timeout=START_SECONDS, what="the peer's daphne")
        yield f"http://127.0.0.1:{port}"


@contextmanager
def worker() -> Iterator[int]:
    """One stock worker; its process id."""
    with _running("django", "rqworker", "-v", "0", "default") as pid:
        _await_workers(1)
        yield pid


@contextmanager
def pool(workers: int) -> Iterator[int]:
    """So many stock workers; their parent's process id."""
    with _running("django", "rqworker-pool", "--num-workers", str(workers), "-v", "0", "default") as pid:
        _await_workers(workers)
        yield pid


@contextmanager
def _running(*module: str) -> Iterator[int]:
    process = subprocess.Popen(
        [sys.executable, "-m", *module],
        cwd=PROJECT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=die_with_parent,
    )
    try:
        yield process.pid
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
        for pid in session(process.pid):  # each job has a process in a group of its own
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()


def _listens(port: int) -> bool:
    with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


def _await_workers(count: int) -> None:
    wait_until(lambda: Worker.count(get_connection()) == count, timeout=START_SECONDS, what=f"{count} workers")
