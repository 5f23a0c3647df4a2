"""Who changes limits and pauses queues while jobs run under fire, and sees that nobody is let in beyond them."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping

from django.db import Error, connection, transaction

from chaos.bounds import QUEUES
from chaos.jobtypes import PART
from jobs import invariants, limits, queue_settings
from jobs.models import Job, QueueControl
from jobs.models_limits import Limit
from jobs.models_metrics import QueueSettings
from jobs.operations.operator import Operator
from jobs.operations.queues import pause_queue, resume_queue

LOOK_SECONDS = 0.1
ACT_SECONDS = 2.0
PAUSE_SECONDS = (0.3, 1.0)
BY = Operator(user=None, via="chaos")


class Steward:
    """One act every ``ACT_SECONDS``, drawn from the seed, for ``seconds``; then no queue is paused any more.

    ``exceeded``: what was found over its limit, at some moment. ``held_back``: the ids of those whom a limit was seen
    to keep waiting.
    """

    def __init__(self, most: Mapping[str, int], *, seed: int, seconds: float) -> None:
        self.exceeded: dict[str, str] = {}
        self.held_back: set[int] = set()
        self.acts: Counter[str] = Counter()
        self._most, self._seconds = most, seconds
        self._rng = random.Random(f"{seed}.steward")
        self._resume_at = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="steward")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """It looks until then."""
        self._ended.set()
        self._thread.join()

    def _go_on(self) -> None:
        next_at, last_at = time.monotonic() + ACT_SECONDS, time.monotonic() + self._seconds
        while not self._ended.wait(LOOK_SECONDS):
            _try(self._look)
            if time.monotonic() >= self._resume_at:
                _try(_resume_all)
            if next_at <= min(time.monotonic(), last_at):
                next_at += ACT_SECONDS
                _try(self._rng.choice([self._change, self._change, self._pause]))
        while not _try(_resume_all):
            time.sleep(LOOK_SECONDS)
        connection.close()

    def _look(self) -> None:
        """All at one moment: a limit, and who is there."""
        with transaction.atomic():
            if connection.vendor == "postgresql":
                connection.cursor().execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            self.exceeded |= {row["limit"]: str(row) for row in invariants.permits_stay_within_limits()}
            self.held_back.update(Job.objects.exclude(held_back_by="").values_list("pk", flat=True))

    def _change(self) -> None:
        """Up to twice as much as in the beginning, or down to half of it and one."""
        name = self._rng.choice(sorted(self._most))
        most = self._most[name]
        concurrency = {"concurrency": self._rng.randint(most // 2 + 1, 2 * most)}
        if name.startswith(limits.QUEUE):
            QueueSettings.objects.update_or_create(queue=name.removeprefix(limits.QUEUE), defaults=concurrency)
        else:
            Limit.objects.update_or_create(key=name, defaults=concurrency)
        queue_settings.forget()
        self.acts["limit changed"] += 1

    def _pause(self) -> None:
        pause_queue(self._rng.choice([*QUEUES, PART.queue]), by=BY)
        self._resume_at = time.monotonic() + self._rng.uniform(*PAUSE_SECONDS)
        self.acts["queue paused"] += 1


def _resume_all() -> None:
    for name in list(QueueControl.objects.filter(paused_at__isnull=False).values_list("name", flat=True)):
        resume_queue(name, by=BY)


def _try(act: Callable[[], object]) -> bool:
    """Whether the database let it happen."""
    try:
        act()
    except Error:
        connection.close()
        return False
    return True
