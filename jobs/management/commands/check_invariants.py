"""Hold the record against everything that must be true of it."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from jobs import invariants


class Command(BaseCommand):
    help = "Check the record's invariants (docs/proof.md). Prints the rows that break one; exit status 1 if any does."

    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        broken = invariants.broken()
        for name, rows in broken.items():
            self.stdout.write(f"{name}:")
            for row in rows:
                self.stdout.write("  " + ", ".join(f"{column}={value}" for column, value in row.items()))
        if broken:
            raise CommandError(f"{len(broken)} of {len(invariants.names())} invariants are broken")
        self.stdout.write(f"All {len(invariants.names())} invariants hold.")
