"""Waiting for something to become true, never for time to pass."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

TIMEOUT_SECONDS = 30.0
EVERY_SECONDS = 0.02


def wait_until(predicate: Callable[[], T], timeout: float = TIMEOUT_SECONDS, what: str = "") -> T:
    """The predicate's first true value; ``AssertionError`` with its last after ``timeout`` seconds."""
    ends_at = time.monotonic() + timeout
    while not (found := predicate()):
        assert time.monotonic() < ends_at, f"{what or predicate} still {found!r} after {timeout} s"
        time.sleep(EVERY_SECONDS)
    return found


async def await_until(predicate: Callable[[], Awaitable[T]], timeout: float = TIMEOUT_SECONDS, what: str = "") -> T:
    """``wait_until`` for coroutine functions."""
    ends_at = time.monotonic() + timeout
    while not (found := await predicate()):
        assert time.monotonic() < ends_at, f"{what or predicate} still {found!r} after {timeout} s"
        await asyncio.sleep(EVERY_SECONDS)
    return found
