"""One worker process: takes tickets for its free slots, claims the jobs, runs them, stores what became of them.

| thread    | does                                                | database                     |
|-----------|-----------------------------------------------------|------------------------------|
| main      | waits for a free slot, pops tickets, claims         | a connection of its own      |
| slots     | run handlers                                        | the pool, given back to wait |
| completer | stores ends, a set at a time                        | a connection of its own      |
| pulse     | renews the lease, tells who lost theirs             | a connection of its own      |
| io        | awaits all ``ctx.io``                               | none                         |
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
import time

from django.conf import settings
from django.db import Error, connection

from jobs.connections import use_direct_connection
from jobs.failpoints import failpoint
from jobs.models import Job
from jobs.operations import leases
from jobs.operations.outcomes import Ended
from jobs.pauses import pauses
from jobs.states import Status
from jobs.worker.completer import Completer
from jobs.worker.line import line
from jobs.worker.pulse import Pulse
from jobs.worker.slots import Claim, Slots

logger = logging.getLogger(__name__)


class Worker:
    """Takes tickets off its line (RQ's lists, or this process's memory); the jobs live in the database.

    The first ``stop`` (or signal) is a warm shutdown: what runs may finish within ``shutdown_seconds``, the rest is
    handed back at once. The second is cold: everything is handed back now. With ``max_jobs`` it takes no more than
    that, and with ``burst`` none once nothing is queued; either way it ends when what it took has ended.
    """

    def __init__(
        self, queues: list[str], *, slots: int, name: str = "", max_jobs: int | None = None, burst: bool = False
    ) -> None:
        self.poll_seconds = settings.CONFIG.poll_seconds
        self.name = name or f"{os.uname().nodename}.{os.getpid()}"
        self.queues = queues
        self.line = line(queues, name=self.name)
        self.slots = Slots(slots, self._ended)
        self.completer = Completer(self._stored, more=lambda: self.slots.behind)
        self._more = False  # whether the last look found as much as it could take: then there is more, most likely
        self._short_until = 0.0  # the line had less than could be taken: until then nothing is expected of it
        self._alone = True  # whether the last jobs had no scope: then the next have none either, most likely
        self._left = max_jobs if max_jobs is not None else sys.maxsize
        self._burst = burst
        self._deadline = float("inf")
        self._asked_to_stop = False
        self._stopping = threading.Event()
        self._last_poll = 0.0

    # -- life ----------------------------------------------------------------------------------------------------

    def work(self) -> bool:
        """Work until told to stop; ``True`` when everything was finished in time.

        Raises what can't be lived with, a defect or a thread of ours that has died, once all was handed back.
        """
        use_direct_connection()
        if not self._born():
            self.completer.close(0.0)
            self.slots.close()
            return True
        logger.info("worker %s listens on %s with %s slots", self.name, ", ".join(self.queues), self.slots.size)
        try:
            while not self._stopping.is_set():
                self._live()
        except Exception:
            self._deadline = 0.0
            self._shut_down()
            raise
        return self._shut_down()

    def _live(self) -> None:
        if not (self.completer.alive and self.pulse.alive):
            raise RuntimeError("the thread that stores ends or the one that beats has died: this worker is of no use")
        try:
            self._turn()
        except Error:
            self._without_database()

    def _born(self) -> bool:
        """Register, however long the database is away; ``False`` when told to stop before."""
        while not self._stopping.is_set():
            try:
                self.pulse = Pulse(self._register, self.slots, self.line.tell)
                return True
            except Error:
                self._without_database()
        return False

    def _without_database(self) -> None:
        logger.exception("the database is away")
        connection.close()
        self._stopping.wait(self.poll_seconds)

    def _register(self) -> int:
        return leases.register(name=self.name, queues=self.queues, slots=self.slots.size).pk

    def stop_on_signals(self) -> None:
        """SIGTERM and SIGINT stop it; for the process's main thread."""
        signal.signal(signal.SIGINT, lambda *_: self.stop())
        signal.signal(signal.SIGTERM, lambda *_: self.stop())

    def stop(self) -> None:
        """Warm shutdown when asked first, cold when asked again."""
        cold, self._asked_to_stop = self._asked_to_stop, True
        self._deadline = time.monotonic() + (0.0 if cold else settings.CONFIG.shutdown_seconds)
        self._stopping.set()

    def _shut_down(self) -> bool:
        logger.info("worker %s stops; %s jobs still run", self.name, len(self.slots.claims()))
        while self.slots.claims() and time.monotonic() < self._deadline:
            time.sleep(0.02)
        unfinished = self.slots.claims()
        for run in self.slots.runs():
            self.slots.lose(run)
        if unfinished:
            self._hand_back(unfinished)
        self.pulse.stop()
        self.completer.close(settings.CONFIG.poll_seconds)
        with contextlib.suppress(Error):
            leases.resign(self.pulse.worker_id)
            self.slots.measures.flush()
        self.line.leave()
        self.slots.close()
        connection.close()
        return not unfinished

    def _hand_back(self, claims: list[Claim]) -> None:
        try:
            logger.info("worker %s handed back %s jobs", self.name, len(leases.hand_back(claims)))
        except Error:
            logger.exception("the database is away; %s jobs go on when their lease has run out", len(claims))

    # -- work ----------------------------------------------------------------------------------------------------

    def _turn(self) -> None:
        taken = self.slots.take(min(leases.CLAIM_BATCH, self._left), self.poll_seconds)
        jobs: list[Job] = []
        try:
            if taken and (self.line.suspended or not self.pulse.trusted or self.name in pauses.workers()):
                self._stopping.wait(self.poll_seconds)
            elif taken and not self._stopping.is_set():
                jobs = self._get(taken)
        finally:
            self.slots.free(taken - len(jobs))
        if jobs:
            failpoint("after_claim")
            self._alone = all(job.scope_id is None for job in jobs)
        self.slots.start(jobs)
        self._left -= len(jobs)
        if not self._left or (self._burst and not jobs and self._nothing_to_do()):
            self._stopping.set()

    def _nothing_to_do(self) -> bool:
        """Nothing runs here, and nothing is queued that may run."""
        queues = set(self.queues) - pauses.queues()
        return not (self.slots.claims() or Job.objects.filter(queue__in=queues, status=Status.QUEUED).exists())

    def _get(self, limit: int) -> list[Job]:
        now = time.monotonic()
        if self._more and now < self._short_until:  # more may run than have tickets: the record says what is next
            return self._next(limit, ticketed=[True, False])
        if not self._more and now - self._last_poll >= self.poll_seconds and (found := self._poll(limit)):
            return found
        tickets = self.line.pop(limit, wait=not self._more)
        if not self.pulse.trusted:  # it was stopped meanwhile; the sweep finds what was popped in vain
            return []
        if tickets is None:
            return self._poll(limit) or self._pause()
        failpoint("after_pop")
        jobs = leases.claim(tickets, worker_id=self.pulse.worker_id, alone=self._alone) if tickets else []
        more, self._more = self._more, len(tickets) == limit
        if more and not self._more:  # those come next who have none
            self._short_until = now + self.poll_seconds
            jobs += self._next(limit - len(jobs), ticketed=[False])
        return jobs

    def _poll(self, limit: int) -> list[Job]:
        """Tickets may have been lost, or handed out by nobody: look into the database once in a while."""
        self._last_poll = time.monotonic()
        self._more = False
        return self._next(limit, ticketed=[True, False]) if leases.any_next(self.queues) else []

    def _next(self, limit: int, *, ticketed: list[bool]) -> list[Job]:
        if not self.pulse.trusted:  # it was stopped while it looked whether there is any
            return []
        worker = self.pulse.worker_id
        found = leases.take_next(self.queues, limit=limit, worker_id=worker, ticketed=ticketed, alone=self._alone)
        self._more = found.more
        return found.jobs

    def _pause(self) -> list[Job]:
        if not self._more:
            self._stopping.wait(self.poll_seconds / 4)
        return []

    def _ended(self, ended: Ended) -> None:
        self.completer.put(ended)

    def _stored(self, ended: Ended) -> None:
        self.slots.done((ended.job_id, ended.token))
