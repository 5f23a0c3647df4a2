"""A backlog for systems that have no call for many: copies of one message on a Redis list."""

from __future__ import annotations

from redis import Redis

CALL = 1000


def multiply(redis: Redis, key: str, count: int) -> None:
    """So many of the one message that is on the list."""
    message = redis.rpop(key)
    assert isinstance(message, bytes)
    for begun in range(0, count, CALL):
        redis.lpush(key, *[message] * min(CALL, count - begun))
