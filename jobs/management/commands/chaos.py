"""Put the queue under fire, on servers of its own."""

from __future__ import annotations

import os
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "Kill, pause, flush and cut while jobs run, then count what was lost, doubled or out of order."

    requires_system_checks = ()

    def run_from_argv(self, argv: list[str]) -> None:
        """In a fresh interpreter: the run starts its own servers before Django reads its settings."""
        os.chdir(settings.BASE_DIR)
        os.execv(sys.executable, [sys.executable, "-m", "chaos", *argv[2:]])

    def handle(self, *args: Any, **options: Any) -> None:
        """Never called: see ``run_from_argv``."""
