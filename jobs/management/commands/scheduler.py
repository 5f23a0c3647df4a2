"""Run a scheduler process."""

from __future__ import annotations

import os
import signal
from typing import Any

from django.core.management.base import BaseCommand
from django.db import connection

from jobs.checks import QUEUE
from jobs.embedded import Embedded
from jobs.jobtypes import ALERT
from jobs.management.console import refuse_deaf, refuse_unmigrated, stop_this_process


class Command(BaseCommand):
    help = (
        "Run the services that keep the queue moving, and a worker of one slot that tells of incidents. "
        "Start as many as you like: one leads, the others stand by."
    )

    requires_system_checks = (QUEUE,)

    def handle(self, *args: Any, **options: Any) -> None:
        refuse_deaf()
        refuse_unmigrated()
        connection.close()
        name = f"scheduler.{os.uname().nodename}.{os.getpid()}"
        embedded = Embedded(slots=1, queues=[ALERT.queue], name=name, ended=stop_this_process)
        embedded.start()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: embedded.stop())
        embedded.wait()
        os._exit(embedded.died)  # an e-mail stuck in a thread of its own would keep the interpreter alive
