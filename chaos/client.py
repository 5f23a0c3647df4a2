"""The one who asks: keeps its own log of what was acknowledged, and asks again when it does not know."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from django.contrib.auth.models import User
from django.db import Error, connection

from chaos.bounds import KEYS, LANES, QUEUES
from chaos.jobtypes import FATES, TALE, Fate, Tale
from jobs.errors import Conflict, Refused
from jobs.models import Job
from jobs.operations.controls import cancel
from jobs.operations.enqueue import enqueue

THREADS = 4
AGAIN = 0.05
AGAIN_SECONDS = 0.2
SLOW_SECONDS = 0.3
ALONE_SECONDS = 1.0


Name = TypeVar("Name", bound=str)


@dataclass
class Log:
    """What the client was told. ``acknowledged`` is by the client's number, in its own order."""

    acknowledged: dict[int, tuple[Tale, str]] = field(default_factory=dict)
    contradicted: list[int] = field(default_factory=list)
    errors: int = 0
    refused: int = 0

    @staticmethod
    def lane(number: int) -> str:
        """Each lane's jobs are asked for one after the other: the next once the last is acknowledged."""
        return f"chaos:{number % LANES}"


class Client:
    """Asks for ``jobs`` jobs over ``seconds``, from several threads, each with lanes of its own."""

    def __init__(self, owner: User, *, seed: int, jobs: int, seconds: float, long_seconds: float) -> None:
        self.log = Log()
        self._owner, self._jobs, self._seconds, self._long_seconds = owner, jobs, seconds, long_seconds
        self._seed = seed
        self._threads = [threading.Thread(target=self._ask, args=(number,), daemon=True) for number in range(THREADS)]

    def start(self) -> None:
        self._began = time.monotonic()
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        """Until everything has been acknowledged."""
        for thread in self._threads:
            thread.join()

    def _ask(self, thread: int) -> None:
        rng = random.Random(f"{self._seed}.{thread}")
        for number in range(thread, self._jobs, THREADS):
            time.sleep(max(self._began + number * self._seconds / self._jobs - time.monotonic(), 0.0))
            tale = self._tale(rng, number)
            job = self._until_acknowledged(tale)
            self.log.acknowledged[number] = (tale, str(job.public_id))
            if rng.random() < AGAIN and self._until_acknowledged(tale).pk != job.pk:
                self.log.contradicted.append(number)
            if tale.fate == "family_called_off":
                time.sleep(tale.seconds)
            if tale.fate in ("called_off", "family_called_off"):
                self._call_off(job)
        connection.close()

    def _tale(self, rng: random.Random, number: int) -> Tale:
        fate, key, queue = _drawn(rng, FATES), _drawn(rng, KEYS), _drawn(rng, QUEUES)
        slow = rng.uniform(0, SLOW_SECONDS)
        seconds: dict[Fate, float] = {"slow": slow, "sleeping": slow, "family_called_off": slow}
        seconds |= {"long": self._long_seconds, "alone": ALONE_SECONDS}
        return Tale(number=number, fate=fate, seconds=seconds.get(fate, 0.0), key=key, queue=queue)

    def _until_acknowledged(self, tale: Tale) -> Job:
        """Ask with the same key until there is an answer: an error may hide a success, a refusal ends."""
        while True:
            try:
                return self._enqueue(tale)
            except Refused as refused:
                self.log.refused += 1
                time.sleep(refused.retry_after)
            except Error:
                self._wait()

    def _enqueue(self, tale: Tale) -> Job:
        lane = Log.lane(tale.number)
        return enqueue(
            TALE,
            tale,
            owner=self._owner,
            scope=lane,
            ordering_key=lane,
            idempotency_key=f"{self._seed}.{tale.number}",
            concurrency_key=tale.key,
            queue=tale.queue,
        )

    def _call_off(self, job: Job) -> None:
        while True:
            try:
                cancel(job.pk)
            except Conflict:
                return
            except Error:
                self._wait()
            else:
                return

    def _wait(self) -> None:
        self.log.errors += 1
        connection.close()
        time.sleep(AGAIN_SECONDS)


def _drawn(rng: random.Random, shares: Mapping[Name, int]) -> Name:
    return rng.choices([*shares], [*shares.values()])[0]
