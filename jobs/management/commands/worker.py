"""Run a worker process."""

from __future__ import annotations

import os
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection

from jobs.worker.process import Worker


class Command(BaseCommand):
    help = "Run jobs of the given queues. First SIGTERM: finish what runs, within SHUTDOWN_SECONDS; second: stop now."

    requires_system_checks = ()  # they would load the URLconf, which a worker never needs

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--queues", default=",".join(settings.QUEUES), help="comma-separated; default: all")
        parser.add_argument("--concurrency", type=int, default=settings.CONFIG.worker_concurrency, help="slots")
        parser.add_argument("--name", default="", help="shown in worker lists; default: host and process id")

    def handle(self, *args: Any, queues: str, concurrency: int, name: str, **options: Any) -> None:
        names = [queue.strip() for queue in queues.split(",") if queue.strip()]
        if unknown := sorted(set(names) - set(settings.QUEUES)):
            raise CommandError(f"no such queue: {', '.join(unknown)}; there are {', '.join(settings.QUEUES)}")
        if not names or concurrency < 1:
            raise CommandError("name at least one queue and one slot")
        connection.close()
        Worker(names, slots=concurrency, name=name).work()
        # A handler stuck in a thread of its own would keep the interpreter alive; its job has been handed back.
        os._exit(0)
