"""Call off everything that waits in a queue."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from jobs.management.console import ConsoleCommand, at_the_console
from jobs.models import Job
from jobs.operations import queues, upkeep


class Command(ConsoleCommand):
    help = (
        "Call off every request of which a job waits in this queue for its first start. What runs goes on. "
        "To let a queue run empty instead, pause what fills it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("queue")
        parser.add_argument("--yes", action="store_true", help="do it; without, only say how many jobs wait")

    def handle(self, *args: Any, queue: str, yes: bool, **options: Any) -> None:
        queues.known_queue(queue)
        if not yes:
            waiting = Job.objects.not_begun().filter(queue=queue).count()
            raise CommandError(f"{waiting} jobs wait in {queue}; --yes calls their requests off")
        self.stdout.write(f"{upkeep.drain(queue, by=at_the_console())} requests were called off.")
