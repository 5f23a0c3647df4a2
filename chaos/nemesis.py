"""What goes wrong, when, and to whom: all of it drawn from the seed."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from django.db import Error, connection

from chaos.bed import Bed
from chaos.handlers import process
from chaos.herd import Herd
from jobs.models import JobLog

EVERY_SECONDS = 1.0
STEP_SECONDS = 0.05
PAUSE_LEASES = 2.2
OUTAGE_SECONDS = (0.5, 3.0)
AGAIN_SECONDS = 0.1

Struck = tuple[float, int]
"""When, by the clock of the day, and the process id of whom."""


class Nemesis:
    """One fault a second; what it broke for a time it mends itself.

    It runs in the main thread: a Redis that comes back dies with the thread that started it.
    """

    def __init__(self, herd: Herd, bed: Bed, *, seed: int, lease_seconds: float) -> None:
        self._herd, self._bed, self._lease_seconds = herd, bed, lease_seconds
        self._rng = random.Random(seed)
        self._to_mend: list[tuple[float, Callable[[], object]]] = []
        self._paused: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.kills: list[Struck] = []
        self.child_kills: list[Struck] = []
        self.stops: list[Struck] = []

    def run(self, seconds: float) -> None:
        """Strike for so long; in the end everything is mended."""
        ends_at, next_at = time.monotonic() + seconds, time.monotonic() + EVERY_SECONDS
        while time.monotonic() < ends_at:
            self._mend(time.monotonic())
            if time.monotonic() >= next_at:
                next_at += EVERY_SECONDS
                self._strike()
            time.sleep(STEP_SECONDS)
        self._mend(float("inf"))

    def _mend(self, now: float) -> None:
        for due in [due for due in self._to_mend if due[0] <= now]:
            self._to_mend.remove(due)
            due[1]()

    def _strike(self) -> None:
        faults = self._possible()
        (name,) = self._rng.choices(list(faults), [weight for weight, _ in faults.values()])
        faults[name][1]()
        self.faults[name] += 1

    def _possible(self) -> dict[str, tuple[int, Callable[[], None]]]:
        faults = {
            "worker killed": (32, self._kill_worker),
            "worker stopped": (6, self._stop_worker),
            "job's process killed": (6, self._kill_child),
            "scheduler killed": (10, self._kill_scheduler),
            "worker paused beyond its lease": (10, self._pause_worker),
            "Redis flushed": (15, self._bed.flush_redis),
            "Redis out of memory": (5, self._fill_redis),
        }
        if self._bed.may_kill_redis:
            faults["Redis killed"] = (8, self._kill_redis)
        if self._bed.is_postgres:
            faults["database connections cut"] = (10, self._bed.cut_connections)
        if self._bed.may_crash:
            faults["database crashed"] = (4, self._bed.crash_database)
        return faults

    def _kill_worker(self) -> None:
        at = time.time()
        if pid := self._herd.signal(self._rng.choice(self._herd.workers), signal.SIGKILL):
            self.kills.append((at, pid))

    def _stop_worker(self) -> None:
        """As a deploy does."""
        at = time.time()
        if pid := self._herd.signal(self._rng.choice(self._awake()), signal.SIGTERM):
            self.stops.append((at, pid))

    def _kill_child(self) -> None:
        """The process of a job that has one of its own, as soon as there is one."""
        children = _unharmed([child for name in self._awake() for child in self._herd.children(name)])
        if not children:
            self._later(AGAIN_SECONDS, self._kill_child)
            return
        at, child = time.time(), self._rng.choice(children)
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
            self.child_kills.append((at, child))

    def _awake(self) -> list[str]:
        """The workers that are not paused: the others would notice nothing yet."""
        return [name for name in self._herd.workers if name not in self._paused] or self._herd.workers

    def _kill_scheduler(self) -> None:
        self._herd.signal(self._rng.choice(self._herd.schedulers), signal.SIGKILL)

    def _pause_worker(self) -> None:
        name = self._rng.choice(self._herd.workers)
        self._herd.signal(name, signal.SIGSTOP)
        self._paused[name] += 1
        self._later(PAUSE_LEASES * self._lease_seconds, lambda: self._wake(name))

    def _wake(self, name: str) -> None:
        self._herd.signal(name, signal.SIGCONT)
        self._paused -= Counter([name])

    def _fill_redis(self) -> None:
        self._bed.fill_redis()
        self._later(self._rng.uniform(*OUTAGE_SECONDS), self._bed.empty_redis)

    def _kill_redis(self) -> None:
        self._bed.kill_redis()
        self._later(self._rng.uniform(*OUTAGE_SECONDS), self._bed.start_redis)

    def _later(self, seconds: float, mend: Callable[[], object]) -> None:
        self._to_mend.append((time.monotonic() + seconds, mend))


def _unharmed(children: list[int]) -> list[int]:
    """Those that have said who they are, of jobs that were not struck yet: for what is struck too often is poison."""
    said = JobLog.objects.filter(text__in=[process(child) for child in children], job__strikes=0)
    try:
        known = set(said.values_list("text", flat=True))
    except Error:
        connection.close()
        return []
    return [child for child in children if process(child) in known]
