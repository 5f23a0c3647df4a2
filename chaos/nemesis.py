"""What goes wrong, when, and to whom: all of it drawn from the seed."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress

from django.db import Error, connection

from chaos.bed import Bed
from chaos.faults import WEIGHTS
from chaos.handlers import process
from chaos.herd import Herd
from jobs.models_steps import JobLog

STEP_SECONDS = 0.05
PAUSE_LEASES = 2.2
OUTAGE_SECONDS = (0.5, 3.0)
AGAIN_SECONDS = 0.1

Struck = tuple[float, int]
"""When, by the clock of the day, and the process id of whom."""


class Nemesis:
    """A fault every so many seconds, or only of these kinds; what it broke for a time it mends itself.

    It runs in the main thread: a Redis that comes back dies with the thread that started it.
    """

    def __init__(
        self, herd: Herd, bed: Bed, *, seed: int, lease_seconds: float, every_seconds: float, only: Collection[str]
    ) -> None:
        self._herd, self._bed, self._lease_seconds = herd, bed, lease_seconds
        self._every_seconds, self._only = every_seconds, only
        self._rng = random.Random(seed)
        self._to_mend: list[tuple[float, Callable[[], object]]] = []
        self._paused: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.kills: list[Struck] = []
        self.child_kills: list[Struck] = []
        self.stops: list[Struck] = []
        if not self._possible():
            raise SystemExit(f"none of these can go wrong here: {', '.join(only)}")

    def run(self, seconds: float) -> None:
        """Strike for so long; in the end everything is mended."""
        ends_at, next_at = time.monotonic() + seconds, time.monotonic() + self._every_seconds
        while time.monotonic() < ends_at:
            self._mend(time.monotonic())
            if time.monotonic() >= next_at:
                next_at += self._every_seconds
                self._strike()
            time.sleep(STEP_SECONDS)
        self._mend(float("inf"))

    def _mend(self, now: float) -> None:
        for due in [due for due in self._to_mend if due[0] <= now]:
            self._to_mend.remove(due)
            due[1]()

    def _strike(self) -> None:
        faults = self._possible()
        (name,) = self._rng.choices(list(faults), [WEIGHTS[name] for name in faults])
        faults[name]()
        self.faults[name] += 1

    def _possible(self) -> dict[str, Callable[[], None]]:
        faults = {
            "worker killed": self._kill_worker,
            "worker stopped": self._stop_worker,
            "job's process killed": self._kill_child,
            "scheduler killed": self._kill_scheduler,
            "worker paused beyond its lease": lambda: self._pause_one_of(self._herd.workers),
            "scheduler paused beyond its lease": lambda: self._pause_one_of(self._herd.schedulers),
            "Redis flushed": self._bed.flush_redis,
            "Redis out of memory": self._fill_redis,
        }
        if self._bed.may_kill_redis:
            faults["Redis killed"] = self._kill_redis
        if self._bed.is_postgres:
            faults["database connections cut"] = self._bed.cut_connections
        if self._bed.may_crash:
            faults["database crashed"] = self._bed.crash_database
        return {name: strike for name, strike in faults.items() if name in self._only}

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

    def _pause_one_of(self, names: Sequence[str]) -> None:
        """For longer than a worker's lease, which is the longest."""
        name = self._rng.choice(names)
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
