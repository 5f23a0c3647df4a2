"""Look at workers, pause and resume them."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from jobs.listing import worker_rows
from jobs.management.console import ConsoleCommand, at_the_console
from jobs.operations import queues


class Command(ConsoleCommand):
    help = "Show the workers that are alive. Pause one: it takes no jobs until it is resumed; what it runs goes on."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb")
        verbs.add_parser("pause", help="take no more jobs").add_argument("name")
        verbs.add_parser("resume", help="take jobs again").add_argument("name")

    def handle(self, *args: Any, verb: str | None, **options: Any) -> None:
        match verb:
            case "pause":
                queues.pause_worker(options["name"], by=at_the_console())
                self.stdout.write(f"{options['name']} is paused.")
            case "resume":
                queues.resume_worker(options["name"], by=at_the_console())
                self.stdout.write(f"{options['name']} is resumed.")
            case _:
                self._show()

    def _show(self) -> None:
        columns = ("name", "queues", "busy", "slots", "lost_slots", "started_at", "beat_at", "paused_at")
        rows = worker_rows()
        self.print_table(columns, [[row[column] for column in columns] for row in rows])
        if not rows:
            self.stderr.write("No worker is alive.")
