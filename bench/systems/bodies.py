"""What the measured jobs do, the same for every system. Standard library only: each system has its own environment."""

from __future__ import annotations

import asyncio
import os
import time
from functools import cache

STAMP_FILE = "BENCH_STAMP"
"""The environment's name for the file that ``stamp`` writes to: cheaper than any server, and alike for all."""
STAMP_BYTES = 8


def nothing() -> None:
    """What the queue itself costs."""


def stamp() -> None:
    """Write down when this line ran, on the machine's monotonic clock."""
    os.pwrite(stamp_file(), time.monotonic_ns().to_bytes(STAMP_BYTES), 0)


def sleep(seconds: float) -> None:
    """Wait for something outside, such as a model's answer."""
    time.sleep(seconds)


async def sleep_async(seconds: float) -> None:
    """``sleep`` for systems whose jobs share a thread."""
    await asyncio.sleep(seconds)


def stamped() -> int:
    """What the last ``stamp`` wrote: nanoseconds."""
    return int.from_bytes(os.pread(stamp_file(), STAMP_BYTES, 0))


@cache
def stamp_file() -> int:
    """Opened once for each process."""
    return os.open(os.environ[STAMP_FILE], os.O_RDWR | os.O_CREAT)
