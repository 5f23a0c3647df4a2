"""Run a scheduler process."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from jobs.checks import QUEUE
from jobs.management.console import refuse_deaf, refuse_unmigrated
from jobs.scheduler.loop import Scheduler


class Command(BaseCommand):
    help = "Run the services that keep the queue moving. Start as many as you like: one leads, the others stand by."

    requires_system_checks = (QUEUE,)

    def handle(self, *args: Any, **options: Any) -> None:
        refuse_deaf()
        refuse_unmigrated()
        scheduler = Scheduler()
        scheduler.stop_on_signals()
        scheduler.run()
