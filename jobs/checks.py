"""What is wrong with the queue's settings and its Redis, said by ``manage.py check``.

Workers and schedulers don't start where one of those tagged ``queue`` finds an error: these ask nobody.

jobs.E001  a job type names a queue that no worker can serve
jobs.W001  Redis may throw tickets away: its policy is not noeviction
jobs.W002  Redis lets anyone in: no password
jobs.W003  unfinished jobs are of a version of their type that the code no longer has (with --deploy)
jobs.W004  PostgreSQL may forget in a crash what it said was committed (with --deploy)
jobs.W005  the transport is for a site that is one process
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register
from django.db import Error as DatabaseError
from django.db import connection
from django.db.models import Count
from redis.exceptions import RedisError

from jobs.models import Job
from jobs.registry import versions
from jobs.sql import on_postgresql
from jobs.transport import RedisTransport, transport

LASTING = ("fsync", "full_page_writes", "synchronous_commit")


QUEUE = "queue"


@register(QUEUE)
def queues_are_served(**_: Any) -> list[CheckMessage]:
    """Every job type's queue is one that workers serve."""
    hint = f"Known are {', '.join(settings.RQ_QUEUES)}: queueproject/queues.py lists them."
    return [
        Error(f"Job type {kind.name!r} names the queue {kind.queue!r}, which nobody serves.", hint=hint, id="jobs.E001")
        for kind in versions().values()
        if kind.queue not in settings.RQ_QUEUES
    ]


@register()
def redis_keeps_tickets(**_: Any) -> list[CheckMessage]:
    """Outside development, Redis evicts nothing. One that can't be asked is not complained about: work goes on."""
    carrier = transport()
    if settings.CONFIG.debug or not isinstance(carrier, RedisTransport):
        return []
    try:
        policy = carrier.redis.info("memory").get("maxmemory_policy", "noeviction")
    except RedisError:
        return []
    if policy == "noeviction":
        return []
    hint = "Set maxmemory-policy noeviction. Lost tickets are sent again, which costs time, but no job is lost."
    return [Warning(f"Redis may throw tickets away: its policy is {policy}.", hint=hint, id="jobs.W001")]


@register()
def redis_has_a_password(**_: Any) -> list[CheckMessage]:
    """Outside development, Redis is not open to whoever reaches its port."""
    url = urlsplit(settings.CONFIG.redis_url)
    if settings.CONFIG.debug or settings.CONFIG.queue_transport != "redis" or url.scheme == "unix" or url.password:
        return []
    hint = "Give Redis a password (requirepass, or an ACL user) and put it into REDIS_URL."
    return [Warning("Redis is reached without a password.", hint=hint, id="jobs.W002")]


@register()
def one_process_is_enough(**_: Any) -> list[CheckMessage]:
    """Outside development, nobody has several processes that don't hear of each other by mistake."""
    if settings.CONFIG.debug or settings.CONFIG.queue_transport != "memory":
        return []
    hint = "Run `manage.py serve` and nothing beside it, or give all processes a Redis: QUEUE_TRANSPORT=redis."
    return [Warning("The queue's transport does not leave its process.", hint=hint, id="jobs.W005")]


@register(deploy=True)
def versions_are_there(**_: Any) -> list[CheckMessage]:
    """Every unfinished job's version of its type is one that the code has. Nothing is said while there is no table."""
    open_ = Job.objects.open().order_by("type", "version").values_list("type", "version")
    try:
        counted = list(open_.annotate(count=Count("id")))
    except DatabaseError:
        return []
    hint = "Keep the old version beside the new one until its jobs have ended, or call them off."
    return [
        Warning(
            f"{count} unfinished jobs are of version {version} of {name!r}, which the code no longer has.",
            hint=hint,
            id="jobs.W003",
        )
        for name, version, count in counted
        if (name, version) not in versions()
    ]


@register(deploy=True)
def commits_are_kept(**_: Any) -> list[CheckMessage]:
    """An acknowledged job is one that is committed: the database must not say so before it is written down."""
    if not on_postgresql():
        return []
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT name FROM pg_settings WHERE name = ANY(%s) AND setting = 'off'", [[*LASTING]])
            off = [name for (name,) in cursor.fetchall()]
    except DatabaseError:
        return []
    hint = "Set it to on for this database: a crash would take jobs with it that callers were told of."
    return [Warning(f"PostgreSQL runs with {name} = off.", hint=hint, id="jobs.W004") for name in sorted(off)]
