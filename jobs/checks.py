"""What is wrong with the queue's settings and its Redis, said by ``manage.py check`` and before anything runs.

jobs.E001  a job type names a queue that no worker can serve
jobs.W001  Redis may throw tickets away: its policy is not noeviction
jobs.W002  Redis lets anyone in: no password
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register
from redis.exceptions import RedisError

from jobs.registry import versions
from jobs.transport import transport


@register()
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
    if settings.CONFIG.debug:
        return []
    try:
        policy = transport().redis.info("memory").get("maxmemory_policy", "noeviction")
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
    if settings.CONFIG.debug or url.scheme == "unix" or url.password:
        return []
    hint = "Give Redis a password (requirepass, or an ACL user) and put it into REDIS_URL."
    return [Warning("Redis is reached without a password.", hint=hint, id="jobs.W002")]
