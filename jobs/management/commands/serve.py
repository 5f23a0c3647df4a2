"""Run web, worker and scheduler as one process."""

from __future__ import annotations

import os
import signal
from typing import Any

from channels.routing import get_default_application
from daphne.server import Server
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from jobs.embedded import Embedded
from jobs.management.console import refuse_unmigrated, stop_this_process


class Command(BaseCommand):
    help = (
        "Run web, worker and scheduler as one process, which needs no Redis: with QUEUE_TRANSPORT=memory. "
        "First SIGTERM: finish what runs, within SHUTDOWN_SECONDS; second: stop now."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
        parser.add_argument("--port", type=int, default=settings.CONFIG.port)
        parser.add_argument("--concurrency", type=int, default=settings.CONFIG.worker_concurrency, help="slots")

    def handle(self, *args: Any, host: str, port: int, concurrency: int, **options: Any) -> None:
        if settings.CONFIG.queue_transport != "memory":
            raise CommandError("set QUEUE_TRANSPORT=memory: with Redis, web, worker and scheduler are processes")
        if concurrency < 1:
            raise CommandError("name at least one slot")
        refuse_unmigrated()
        embedded = Embedded(slots=concurrency, ended=stop_this_process)
        endpoint = f"tcp:port={port}:interface={host}"
        server = Server(get_default_application(), endpoints=[endpoint], ready_callable=embedded.start)
        server.run()
        if not server.listening_addresses:
            raise CommandError(f"can't listen on {host}:{port}; another process may do so already")
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: embedded.stop())
        embedded.stop()
        os._exit(embedded.died)  # a handler stuck in a thread of its own would keep the interpreter alive
