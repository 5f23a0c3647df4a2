"""The heartbeat of a worker process: one row renews the lease of all its jobs."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from django.conf import settings
from django.db import Error, connection

from jobs.connections import use_direct_connection
from jobs.failpoints import failpoint
from jobs.operations import leases
from jobs.operations.progress import keep
from jobs.worker.slots import Claim, Slots
from jobs.worker.watch import LeaderWatch

logger = logging.getLogger(__name__)


class Pulse:
    """Beats on a connection of its own, tells handlers whose claim is over, and stores their progress."""

    def __init__(self, register: Callable[[], int], slots: Slots, each_beat: Callable[[], None]) -> None:
        self._register = register
        self._renew(time.monotonic(), register())
        self._slots = slots
        self._each_beat = each_beat
        self._unknown: set[Claim] = set()
        self._leader = LeaderWatch()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)
        self._thread.start()

    @property
    def trusted(self) -> bool:
        """Whether the last beat that succeeded is younger than the lease: else others may take this worker for dead,
        and what it claimed would be taken from it at once."""
        return time.monotonic() < self._trusted_until

    @property
    def alive(self) -> bool:
        """Whether there will be another beat."""
        return self._thread.is_alive()

    def _renew(self, began: float, worker_id: int) -> None:
        self.worker_id = worker_id
        self._trusted_until = began + settings.CONFIG.lease_seconds

    def stop(self) -> None:
        """End the thread; the lease then runs out by itself."""
        self._stop.set()
        self._slots.reported.set()
        self._thread.join(settings.CONFIG.heartbeat_seconds)

    def _run(self) -> None:
        use_direct_connection()
        next_beat = next_look = 0.0
        while not self._stop.is_set():
            if time.monotonic() >= next_beat:
                next_beat = time.monotonic() + settings.CONFIG.heartbeat_seconds
                self._guarded(self._beat)
                self._each_beat()
            if time.monotonic() >= next_look:
                next_look = time.monotonic() + settings.CONFIG.tick_seconds
                self._guarded(self._call_off)
                self._give_up()
                self._guarded(self._slots.measures.flush_if_due)
                self._guarded(self._leader.look)
            self._guarded(self._store_progress)
            self._slots.reported.wait(max(min(next_beat, next_look) - time.monotonic(), 0.0))
            self._stop.wait(settings.CONFIG.progress_seconds)
        connection.close()

    @staticmethod
    def _guarded(act: Callable[[], None]) -> None:
        try:
            act()
        except Error:
            logger.exception("the database is away; the lease runs on")
            connection.close()

    def _beat(self) -> None:
        runs = self._slots.runs()
        failpoint("before_beat")
        began = time.monotonic()  # by the time of asking: the record's lease may not be shorter than what we believe
        if leases.beat(self.worker_id, lost_slots=self._slots.lost):
            self._renew(began, self.worker_id)
        else:
            self._renew(began, self._register())
            logger.warning("this worker was taken for dead; it goes on as worker %s", self.worker_id)
        held = leases.claims_of(self.worker_id)
        for run in runs:
            if (run.job_id, run.token) not in held:
                self._slots.lose(run)
        self._give_back(held - set(self._slots.claims()))

    def _give_back(self, unknown: set[Claim]) -> None:
        """Claims that the record has and we don't know of: the reply to the claim's commit was lost.

        Nobody else would take them back, for our lease goes on. Seen twice, because a claim may be on its way to us.
        """
        forgotten = unknown & self._unknown
        if forgotten:
            logger.warning("%s claims never reached this worker and are handed back", len(leases.hand_back(forgotten)))
        self._unknown = unknown - forgotten

    def _call_off(self) -> None:
        runs = self._slots.runs()
        called_off = leases.called_off(self.worker_id) if runs else ()
        for run in runs:
            if run.job_id in called_off:
                self._slots.call_off(run)

    def _give_up(self) -> None:
        for run in self._slots.runs():
            if time.monotonic() > run.deadline + settings.CONFIG.tick_seconds:
                self._slots.give_up(run)

    def _store_progress(self) -> None:
        self._slots.reported.clear()
        # Only what is there now: handlers may report faster than this writes, and the heart must go on beating.
        reports = [(context, self._slots.progress.pop(context)) for context in list(self._slots.progress)]
        if not reports:
            return
        failpoint("before_progress")
        late = keep([(context.job, progress) for context, progress in reports])
        for context, progress in reports:
            if context.job_id in late or not context.declared.tell_progress(progress):
                self._slots.progress.setdefault(context, progress)  # for the next turn, unless there is newer
