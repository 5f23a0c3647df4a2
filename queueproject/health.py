"""Is the process alive (/healthz), and can the whole do its work (/readyz)?"""

import json
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any, NamedTuple

from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models.functions import Now
from django.http import HttpRequest, JsonResponse
from redis.exceptions import RedisError

from accounts.sockets import Receive, Send
from jobs.jobtypes import ALERT
from jobs.models import Leadership, Worker
from jobs.models_metrics import Incident
from jobs.streams.http import respond
from jobs.transport import RedisTransport, transport
from queueproject.queues import QUEUES

OK = "ok"


class NotReady(Exception):
    """A part without which no work gets done; the message says which and why."""


class Degraded(Exception):
    """A part without which work gets done more slowly."""


class Unused(Exception):
    """A part that this installation does without."""


class Report(NamedTuple):
    """What was found: the whole in a word, and each part in a sentence.

    ``alerts``: open incidents, as information; they change no status.
    """

    status: str
    checks: dict[str, str]
    alerts: list[str]


async def healthz(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """The process answers, beside Django: also while all its threads wait for a database that is away."""
    await respond(send, 200, {"Content-Type": "application/json"}, json.dumps({"status": OK}).encode())


def readyz(request: HttpRequest) -> JsonResponse:
    """200 when work gets done, perhaps degraded; 503 with what is missing otherwise."""
    report = examine()
    return JsonResponse(report._asdict(), status=503 if report.status == "not ready" else 200)


def examine() -> Report:
    """Look at every part that is used. Without the database the parts that are read from it aren't looked for."""
    checks: dict[str, str] = {}
    status = OK
    for name, check in CHECKS.items():
        try:
            check()
            checks[name] = OK
        except Unused:
            continue
        except Degraded as reason:
            checks[name] = f"degraded: {reason}"
            status = "degraded" if status == OK else status
        except NotReady as reason:
            checks[name] = f"not ready: {reason}"
            status = "not ready"
            if name in ("database", "migrations"):
                return Report(status, checks, [])
    return Report(status, checks, _alerts())


def _alerts() -> list[str]:
    with suppress(DatabaseError):
        return list(Incident.objects.filter(closed_at=None).order_by("pk").values_list("detail", flat=True))
    return []


def _database() -> None:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        raise NotReady("the database can't be reached") from error


@cache
def _migrations() -> None:
    """Asked until the answer is yes, once."""
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if plan:
        raise NotReady(f"{len(plan)} migrations are not applied: run `manage.py migrate`")


def _redis() -> None:
    carrier = transport()
    if not isinstance(carrier, RedisTransport):
        raise Unused
    try:
        carrier.redis.ping()
    except RedisError as error:
        raise Degraded("Redis can't be reached; work is found in the database instead") from error


def _worker() -> None:
    live = Worker.objects.filter(ended_at=None, lease_until__gt=Now()).values_list("queues", flat=True)
    served = {queue for queues in live for queue in queues}
    if served <= {ALERT.queue}:  # which schedulers serve too
        raise NotReady("no worker was seen lately: run `manage.py worker`")
    if missing := [queue for queue in QUEUES if queue not in served]:
        raise Degraded(f"no worker was seen lately for {', '.join(missing)}")


def _scheduler() -> None:
    if not Leadership.objects.filter(lease_until__gt=Now()).exclude(holder="").exists():
        raise NotReady("no scheduler was seen lately: run `manage.py scheduler`")


CHECKS: dict[str, Callable[[], None]] = {
    "database": _database,
    "migrations": _migrations,
    "redis": _redis,
    "worker": _worker,
    "scheduler": _scheduler,
}
