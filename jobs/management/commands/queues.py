"""Look at queues, pause and resume them."""

from __future__ import annotations

import time
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from jobs.listing import queue_rows
from jobs.management.console import ConsoleCommand, at_the_console
from jobs.models import Job
from jobs.operations import queues
from jobs.states import Status

CLEAR = "\033[H\033[2J"


class Command(ConsoleCommand):
    help = "Show every queue. Pause one: no worker takes its jobs until it is resumed, whatever is restarted."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--watch", action="store_true", help="show them again and again, until Ctrl-C")
        verbs = parser.add_subparsers(dest="verb")
        pause = verbs.add_parser("pause", help="take no more of its jobs; what runs goes on")
        pause.add_argument("name")
        pause.add_argument("--wait", action="store_true", help="come back when none of its jobs runs any more")
        verbs.add_parser("resume", help="take its jobs again").add_argument("name")

    def handle(self, *args: Any, verb: str | None, watch: bool, **options: Any) -> None:
        match verb:
            case "pause":
                self._pause(options["name"], wait=options["wait"])
            case "resume":
                queues.resume_queue(options["name"], by=at_the_console())
                self.stdout.write(f"{options['name']} is resumed.")
            case _:
                self._show(watch)

    def _pause(self, name: str, *, wait: bool) -> None:
        control = queues.pause_queue(name, by=at_the_console())
        self.stdout.write(f"{name} is paused since {control.paused_at:%Y-%m-%d %H:%M:%S %Z}.")
        if wait:
            time.sleep(settings.CONFIG.tick_seconds)  # workers may claim until then
            while running := Job.objects.filter(queue=name, status=Status.RUNNING).count():
                self.stdout.write(f"{running} of its jobs run.")
                time.sleep(settings.CONFIG.tick_seconds)
            self.stdout.write("None of its jobs runs.")

    def _show(self, watch: bool) -> None:
        self._print()
        try:
            while watch:
                time.sleep(settings.CONFIG.tick_seconds)
                self.stdout.write(CLEAR, ending="")
                self._print()
        except KeyboardInterrupt:
            return

    def _print(self) -> None:
        shown = [status for status in Status.values if status != Status.COMPLETED]
        rows = [
            (row["name"], row["workers"], row["slots"], *(row["counts"][status] for status in shown), row["paused_at"])
            for row in queue_rows()
        ]
        self.print_table(("queue", "workers", "slots", *shown, "paused since"), rows)
