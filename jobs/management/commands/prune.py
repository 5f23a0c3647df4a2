"""Delete what has been kept for long enough."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from jobs.operations import upkeep


class Command(BaseCommand):
    help = "Delete ended jobs that were kept for their time (KEEP_*_SECONDS). The scheduler does it all the time."

    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only say how many requests it would be")

    def handle(self, *args: Any, dry_run: bool, **options: Any) -> None:
        counts = upkeep.would_prune()
        while not dry_run and upkeep.prune():
            pass
        verb = "would be" if dry_run else "were"
        for status, count in sorted(counts.items()):
            self.stdout.write(f"{count} {status} request(s) {verb} deleted.")
        if not counts:
            self.stdout.write("Nothing was kept for too long.")
