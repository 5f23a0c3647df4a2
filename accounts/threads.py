"""Database work for sockets and streams, on threads of their own.

Channels and Django would run all of it on one shared thread, where one slow query holds up every socket.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

from channels.db import DatabaseSyncToAsync
from django.conf import settings

T = TypeVar("T")


async def in_thread(function: Callable[..., T], *args: object) -> T:
    """Run ``function`` on one of the process's ``stream_threads``, its database connection looked after."""
    run = DatabaseSyncToAsync(function, thread_sensitive=False, executor=_pool())
    result: T = await run(*args)
    return result


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(settings.CONFIG.stream_threads, thread_name_prefix="stream")
