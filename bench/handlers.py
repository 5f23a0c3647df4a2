"""What the measured jobs do."""

import time

from bench.jobtypes import Nap, Nothing, Sent
from jobs.context import JobContext


def stamp(ctx: JobContext, sent: Sent) -> int:
    """Nanoseconds from the caller's enqueue to this line."""
    return time.monotonic_ns() - sent.at_ns


def sleep(ctx: JobContext, nap: Nap) -> None:
    time.sleep(nap.seconds)


def nothing(ctx: JobContext, asked: Nothing) -> None:
    """What the queue itself costs."""
