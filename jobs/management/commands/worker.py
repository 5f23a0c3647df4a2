"""Run a worker process."""

from __future__ import annotations

import gc
import logging
import os
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection

from jobs.checks import QUEUE
from jobs.management.console import refuse_deaf, refuse_unmigrated
from jobs.worker.process import Worker

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    help = "Run jobs of the given queues. First SIGTERM: finish what runs, within SHUTDOWN_SECONDS; second: stop now."

    requires_system_checks = (QUEUE,)  # all of them would load the URLconf, which a worker never needs

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--queues", default=",".join(settings.QUEUES), help="comma-separated; default: all")
        parser.add_argument("--concurrency", type=int, default=settings.CONFIG.worker_concurrency, help="slots")
        parser.add_argument("--max-jobs", type=int, help="end after so many claims, when they have ended")
        parser.add_argument("--burst", action="store_true", help="end when nothing is queued any more")
        parser.add_argument("--name", default="", help="shown in worker lists; default: host and process id")

    def handle(self, *args: Any, queues: str, concurrency: int, name: str, **options: Any) -> None:
        max_jobs, burst = options["max_jobs"], options["burst"]
        names = [queue.strip() for queue in queues.split(",") if queue.strip()]
        if unknown := sorted(set(names) - set(settings.QUEUES)):
            raise CommandError(f"no such queue: {', '.join(unknown)}; there are {', '.join(settings.QUEUES)}")
        if not names or concurrency < 1 or (max_jobs is not None and max_jobs < 1):
            raise CommandError("name at least one queue, one slot and one job")
        refuse_deaf()
        refuse_unmigrated()
        connection.close()
        worker = Worker(names, slots=concurrency, name=name, max_jobs=max_jobs, burst=burst)
        worker.stop_on_signals()
        gc.freeze()  # what was imported stays: the collector need not look at it again and again
        status = 0
        try:
            worker.work()
        except Exception:
            logger.exception("the worker ended")
            status = 1
        # A handler stuck in a thread of its own would keep the interpreter alive; its job has been handed back.
        os._exit(status)
