"""RQ's worker as this project uses it: registered with RQ, taking tickets off RQ's lists, working from the database."""

from __future__ import annotations

import contextlib
import logging
import os
import random
import socket
from typing import Any, cast

from django.conf import settings
from redis import Redis
from redis.exceptions import RedisError
from rq.suspension import is_suspended
from rq.worker import BaseWorker

from jobs.rq import TicketQueue
from jobs.transport import Breaker, Ticket, connect, parse, queue_key

logger = logging.getLogger(__name__)


class RegisteredWorker(BaseWorker):
    """RQ's registration and lists, without its bookkeeping of jobs and without stretching the socket timeout."""

    queue_class = TicketQueue

    def __init__(self, queues: list[str], *, name: str) -> None:
        self.poll_seconds = settings.CONFIG.poll_seconds
        super().__init__(
            queues, name=name, connection=connect(blocking_seconds=self.poll_seconds), prepare_for_work=False
        )
        self.hostname = socket.gethostname()
        self.pid = os.getpid()
        self.suspended = False
        self._breaker = Breaker()

    def _set_connection(self, connection: Redis) -> Redis:
        """RQ would wait 415 s for a hung Redis; ours is given up after ``redis_timeout_seconds``."""
        return connection

    def execute_job(self, job: Any, queue: Any) -> None:
        """Never called: a ticket is claimed in the database, not executed from Redis."""
        raise PermissionError("jobs are claimed in the database")

    # -- jobs.worker.line.Line --

    def pop(self, limit: int, *, wait: bool) -> list[Ticket] | None:
        """Tickets from the queues' lists; ``None`` while Redis is away."""
        if self._breaker.open:
            return None
        keys = [queue_key(name) for name in self.queue_names()]
        random.shuffle(keys)  # BLPOP takes from the first list that has something: none shall always be last
        try:
            raw = self._pop_now(keys, limit)
            if wait and not raw:
                popped = cast("tuple[bytes, bytes] | None", self.connection.blpop(keys, timeout=self.poll_seconds))
                raw = [popped[1]] if popped else []
        except RedisError as error:
            self._breaker.trip(error)
            return None
        return _understood(raw)

    def _pop_now(self, keys: list[str], limit: int) -> list[bytes]:
        """An equal share from each list, then of the room that is left from those that have more."""
        found: list[bytes] = []
        while keys and (room := limit - len(found)):
            asked = keys[:room]
            share = room // len(asked)
            pipe = self.connection.pipeline(transaction=False)
            for key in asked:
                pipe.lpop(key, share)
            taken = pipe.execute()
            found += [item for items in taken for item in items or ()]
            keys = [key for key, items in zip(asked, taken, strict=True) if items and len(items) == share]
        return found

    def tell(self) -> None:
        """Keep RQ's lists of queues and workers true and learn of ``rq suspend``: a courtesy that Redis may refuse."""
        with contextlib.suppress(RedisError, ValueError):
            self.connection.sadd(TicketQueue.redis_queues_keys, *map(queue_key, self.queue_names()))
            if not self.connection.exists(self.key):
                self.register_birth()  # type: ignore[no-untyped-call]
            self.suspended = bool(is_suspended(self.connection, self))

    def leave(self) -> None:
        """Leave RQ's worker list."""
        with contextlib.suppress(RedisError):
            self.register_death()  # type: ignore[no-untyped-call]


def _understood(raw: list[bytes]) -> list[Ticket]:
    tickets = [ticket for item in raw if (ticket := parse(item))]
    if len(tickets) < len(raw):
        logger.warning("%s list items are no tickets and were dropped", len(raw) - len(tickets))
    return tickets
