"""Two more ways for a process to fail at a failpoint, which only tests need.

``UNSURE=in_claim``: the commit that follows succeeds, and its reply is lost. ``STOP=in_claim``: the process stops
there, as a paused machine does, until it gets SIGCONT. Both strike once.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.apps import AppConfig
from django.db import connection
from django.db.backends.signals import connection_created
from django.db.utils import OperationalError

from jobs.failpoints import arm
from queueproject.sqlite.base import _mutexes

_lost = threading.local()
_once = threading.Lock()


class UnsureConfig(AppConfig):
    """Arms what the environment asks for."""

    name = "tests.proof"
    label = "proof"

    def ready(self) -> None:
        from tests.proof import kinds, without

        assert kinds.WHOLE.queue == "player_actions"
        connection_created.connect(_lose_replies)
        if guard := without.asked():
            guard.take_out()
        if name := os.environ.get("UNSURE"):
            arm(name, lose_next_reply)
        if name := os.environ.get("STOP"):
            arm(name, _stop)


def lose_next_reply() -> None:
    """This thread's next commit succeeds, and raises as if nobody knew."""
    _lost.due = _once.acquire(blocking=False)


def _stop() -> None:
    if not _once.acquire(blocking=False):
        return
    with _no_other_thread_writes():
        # To this thread: a signal to the process may go to another, and this one would run on into a transaction.
        signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)


@contextmanager
def _no_other_thread_writes() -> Iterator[None]:
    """SQLite's write lock is everyone's: a process stopped with it, in whichever thread, stops them all."""
    if connection.vendor != "sqlite" or connection.in_atomic_block:
        yield
        return
    mutex = _mutexes[str(connection.settings_dict["NAME"])]
    assert mutex.acquire(timeout=10)
    try:
        yield
    finally:
        mutex.release()


def _lose_replies(connection: Any, **_: Any) -> None:
    commit = connection._commit

    def commit_then_raise() -> None:
        commit()
        if getattr(_lost, "due", False):
            _lost.due = False
            raise OperationalError("the connection was lost, and with it the reply to COMMIT")

    if not hasattr(connection, "_loses_replies"):
        connection._loses_replies = True
        connection._commit = commit_then_raise
