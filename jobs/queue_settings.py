"""What holds for the jobs of a queue: its row in the admin, where it says something, else the environment.

A process asks at most every ``queue_settings_seconds``, so a change holds everywhere after that, without a restart.
"""

from __future__ import annotations

from functools import cache

from django.conf import settings

from jobs.kept import Kept
from jobs.models_limits import Limit
from jobs.models_metrics import QueueSettings

FIELDS = (
    "timeout_seconds",
    "max_attempts",
    "backoff_seconds",
    "backoff_cap_seconds",
    "keep_seconds",
    "concurrency",
    "waiting",
    "waiting_per_user",
    "waiting_per_scope",
    "rate",
    "rate_per_user",
    "rate_per_scope",
)
"""What may be said about a queue."""


def _read() -> dict[str, QueueSettings]:
    merged = {queue: _of_environment(queue) for queue in settings.CONFIG.queue_settings}
    for row in QueueSettings.objects.all():
        beneath = _of_environment(row.queue)
        for name in FIELDS:
            if getattr(row, name) in (None, ""):
                setattr(row, name, getattr(beneath, name))
        merged[row.queue] = row
    return merged


def _of_environment(queue: str) -> QueueSettings:
    said = settings.CONFIG.queue_settings.get(queue)
    return QueueSettings(queue=queue, **(said.model_dump() if said else {}))


def _read_limits() -> dict[str, int]:
    rows = {row.key: row.concurrency for row in Limit.objects.all() if row.concurrency is not None}
    return {**settings.CONFIG.concurrency_limits, **rows}


_rows: Kept[dict[str, QueueSettings]] = Kept(_read, lambda: settings.CONFIG.queue_settings_seconds)
_limits: Kept[dict[str, int]] = Kept(_read_limits, lambda: settings.CONFIG.queue_settings_seconds)


def of(queue: str) -> QueueSettings:
    """What is set for this queue; every field of a queue that nothing is said about is empty."""
    return _rows.read().get(queue) or _silent(queue)


@cache
def _silent(queue: str) -> QueueSettings:
    """What is asked for with every job costs no new instance."""
    return QueueSettings(queue=queue)


def limits() -> dict[str, int]:
    """How many jobs of each limited concurrency key may be under way."""
    return _limits.read()


def concurrencies() -> dict[str, int]:
    """How many jobs of each limited queue may run at once."""
    return {queue: row.concurrency for queue, row in _rows.read().items() if row.concurrency}


def retentions() -> dict[str, float]:
    """How long ended jobs are kept, in seconds, of each queue of which that is said."""
    return {queue: row.keep_seconds for queue, row in _rows.read().items() if row.keep_seconds is not None}


def forget() -> None:
    """Ask the database next time: in this process a change holds at once."""
    _rows.forget()
    _limits.forget()
