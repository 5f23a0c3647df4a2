"""What the operators' commands share: who acts, how refusals are said, and tables."""

from __future__ import annotations

import getpass
import json
import os
import signal
from argparse import ArgumentTypeError
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from django.utils import timezone

from jobs.errors import NotFound, QueueError
from jobs.listing import find
from jobs.operations.operator import Operator
from jobs.schema import UNMIGRATED, is_unmigrated


class ConsoleCommand(BaseCommand):
    """A command whose refusals are one line and exit status 1."""

    requires_system_checks = ()

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run it; a ``QueueError`` becomes a ``CommandError`` with the same words."""
        try:
            return super().execute(*args, **options)
        except DatabaseError as error:
            if is_unmigrated(error):
                raise CommandError(UNMIGRATED) from None
            raise
        except QueueError as error:
            raise CommandError(refusal(error)) from None

    def print_table(self, titles: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Columns as wide as what is in them; numbers to the right."""
        table = [list(map(_shown, row)) for row in rows]
        widths = [max(map(len, column)) for column in zip(titles, *table, strict=True)]
        self.stdout.write("  ".join(title.ljust(width) for title, width in zip(titles, widths, strict=True)).rstrip())
        for row, cells in zip(rows, table, strict=True):
            aligned = (
                text.rjust(width) if isinstance(value, int) else text.ljust(width)
                for value, text, width in zip(row, cells, widths, strict=True)
            )
            self.stdout.write("  ".join(aligned).rstrip())


def refusal(error: QueueError) -> str:
    """What is said of it, with a line for each field that is wrong."""
    fields = "".join(f"\n  {path}: {why}" for path, why in error.extra.get("fields", {}).items())
    return f"{error.detail}{fields}"


def at_the_console() -> Operator:
    """Whoever sits at the terminal, by the name the machine knows."""
    return Operator(user=None, via=f"console:{getpass.getuser()}")


def refuse_unmigrated() -> None:
    """``CommandError`` if the tables are not those of this code: the process would try for ever, in vain."""
    try:
        for model in apps.get_app_config("jobs").get_models():
            model._default_manager.order_by().first()
    except DatabaseError as error:
        if is_unmigrated(error):
            raise CommandError(UNMIGRATED) from None


def refuse_deaf() -> None:
    """``CommandError`` if this would be one process of several, which could hear nothing of the others."""
    if settings.CONFIG.queue_transport == "memory":
        raise CommandError("QUEUE_TRANSPORT=memory is for one process: run `manage.py serve`, or set it to redis")


def stop_this_process() -> None:
    """As a SIGTERM does: without its worker or its scheduler a process of both shall not look alive."""
    os.kill(os.getpid(), signal.SIGTERM)


def job_key(public_id: str) -> int:
    """The internal key of the job with this id; ``NotFound``."""
    if (job := find(public_id)) is None:
        raise NotFound(f"there is no job {public_id}")
    return job.pk


def json_object(text: str) -> dict[str, Any]:
    """An argument that is a JSON object. ``ArgumentTypeError`` for anything else."""
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except ValueError as error:
        raise ArgumentTypeError(f"not JSON: {error}") from None
    if not isinstance(value, dict):
        raise ArgumentTypeError("a JSON object is needed")
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def seconds(text: str) -> timedelta:
    """An argument that is a number of seconds. ``ArgumentTypeError`` for what is none, and for aeons."""
    try:
        return timedelta(seconds=float(text))
    except (ValueError, OverflowError):
        raise ArgumentTypeError(f"a number of seconds, not {text!r}") from None


def count(text: str) -> int:
    """An argument that is a number of things, at least one. ``ArgumentTypeError`` for others."""
    if not (text.isdecimal() and 1 <= int(text) <= 10**9):
        raise ArgumentTypeError(f"a whole number from 1 on, not {text!r}")
    return int(text)


def moment(text: str) -> datetime:
    """An argument that is a date or a time, of the site's zone if it names none. ``ArgumentTypeError`` for others."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"not a time as 2026-11-22T04:00: {text!r}") from None
    return at if timezone.is_aware(at) else timezone.make_aware(at)


def _shown(value: Any) -> str:
    match value:
        case None:
            return "-"
        case datetime():
            return f"{timezone.localtime(value):%Y-%m-%d %H:%M:%S}"
        case list() | tuple():
            return ",".join(map(str, value))
    return str(value)
