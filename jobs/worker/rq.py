"""RQ's worker as this project uses it: registered with RQ, working from the database."""

from __future__ import annotations

import os
import socket
from typing import Any

from redis import Redis
from rq.worker import BaseWorker

from jobs.rq import TicketQueue


class RegisteredWorker(BaseWorker):
    """RQ's registration and signals, without its bookkeeping of jobs and without stretching the socket timeout."""

    queue_class = TicketQueue

    def __init__(self, queues: list[str], *, name: str, connection: Redis) -> None:
        super().__init__(queues, name=name, connection=connection, prepare_for_work=False)
        self.hostname = socket.gethostname()
        self.pid = os.getpid()

    def _set_connection(self, connection: Redis) -> Redis:
        """RQ would wait 415 s for a hung Redis; ours is given up after ``redis_timeout_seconds``."""
        return connection

    def execute_job(self, job: Any, queue: Any) -> None:
        """Never called: a ticket is claimed in the database, not executed from Redis."""
        raise PermissionError("jobs are claimed in the database")
