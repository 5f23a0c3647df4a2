"""Workers that are ready, and the moment at which all work is done."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.systems.processes import Processes
from bench.systems.system import Command, System

WARM_JOBS = 20
DEADLINE_SECONDS = 90
LEAST_PAUSE_SECONDS = 0.002
DUTY = 0.05
"""Asking how many have ended costs the system some of its time: at most this share goes into it."""


@contextmanager
def working(system: System, workers: Sequence[Command]) -> Iterator[Processes]:
    """These workers with what runs beside them, started, warm and idle."""
    processes = Processes(workers, system.beside(), Path(os.environ["TMPDIR"]))
    try:
        processes.await_idle()
        before = system.ended()
        system.enqueue_each(WARM_JOBS)
        await_ended(system, before + WARM_JOBS)
        processes.await_idle()
        yield processes
    except TimeoutError as error:
        raise TimeoutError(f"{error}; its workers said: {processes.tail()}") from None
    finally:
        processes.stop()


def await_ended(system: System, count: int) -> None:
    """Wait until the system's record says that so many jobs have ended; ``TimeoutError``."""
    ends_at = time.monotonic() + DEADLINE_SECONDS
    while True:
        began = time.perf_counter()
        if (ended := system.ended()) >= count:
            return
        if time.monotonic() > ends_at:
            raise TimeoutError(f"{ended} of {count} jobs ended within {DEADLINE_SECONDS} s")
        time.sleep(max(LEAST_PAUSE_SECONDS, (time.perf_counter() - began) / DUTY))
