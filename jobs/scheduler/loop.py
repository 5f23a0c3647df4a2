"""The scheduler: small bounded services, run in turn by the one process that leads."""

from __future__ import annotations

import logging
import os
import threading
import time

from django.conf import settings
from django.db import Error, connection

from jobs import registry
from jobs.connections import UNREACHABLE, use_direct_connection
from jobs.registry import Tick
from jobs.scheduler.alerts import Alerts
from jobs.scheduler.called_off import run_called_off
from jobs.scheduler.cleanup import run_cleanup
from jobs.scheduler.due import run_due, run_released
from jobs.scheduler.expiry import run_expiry
from jobs.scheduler.leadership import lead, step_down
from jobs.scheduler.positions import Positions
from jobs.scheduler.repeats import Repeats
from jobs.scheduler.rescue import run_rescue
from jobs.scheduler.sweep import Sweep
from jobs.scheduler.tally import run_compact, run_tally
from jobs.scheduler.timers import run_timers

logger = logging.getLogger(__name__)


def services() -> dict[str, Tick]:
    """The queue's own services and those that upper rooms registered."""
    own: dict[str, Tick] = {"due": run_due, "released": run_released, "rescue": run_rescue, "sweep": Sweep()}
    own |= {
        "timers": run_timers,
        "called off": run_called_off,
        "tally": run_tally,
        "compact": run_compact,
        "alerts": Alerts(),
        "positions": Positions(),
    }
    return {**own, "expiry": run_expiry, "cleanup": run_cleanup, "repeats": Repeats(), **registry.ticks()}


class Scheduler:
    """Runs every service when it is due, as long as it leads; a paused leader does no harm, each service looks again
    under its locks."""

    def __init__(self) -> None:
        self.name = f"{os.uname().nodename}.{os.getpid()}"
        self._services = services()
        self._next = dict.fromkeys(self._services, 0.0)
        self._renew = 0.0
        self._stopping = threading.Event()
        self._leads = False

    def run(self) -> None:
        """Until it is told to stop."""
        use_direct_connection()
        logger.info("scheduler %s is up", self.name)
        while not self._stopping.is_set():
            self._stopping.wait(self._turn())
        step_down(self.name)
        connection.close()

    def stop(self) -> None:
        """End after the service that runs now, and let another lead at once."""
        self._stopping.set()

    def _turn(self) -> float:
        """Run what is due; seconds until something is due again."""
        try:
            self._ask_for_the_lead()
            if self._leads:
                self.tick()
        except Error:
            logger.exception("the database is away")
            connection.close()
            return settings.CONFIG.tick_seconds
        due = min(self._renew, *self._next.values()) if self._leads else self._renew
        return max(due - time.monotonic(), 0.0)

    def _ask_for_the_lead(self) -> None:
        """Take or renew the leadership once a tick."""
        if (now := time.monotonic()) < self._renew:
            return
        leads = lead(self.name)
        self._renew = now + settings.CONFIG.tick_seconds
        if leads != self._leads:
            logger.info("scheduler %s %s", self.name, "leads" if leads else "stands by")
            self._leads = leads

    def tick(self) -> None:
        """Run each due service once, those first that have waited longest. One that fails is logged, comes again after
        a tick, and stops the others only where the database may be away; then it is their turn before its own."""
        for name in sorted(self._next, key=self._next.__getitem__):
            began = time.monotonic()
            if began < self._next[name]:
                continue
            self._next[name] = began + settings.CONFIG.tick_seconds
            try:
                self._next[name] = began + self._services[name]()
            except UNREACHABLE:
                raise
            except Exception:
                logger.exception("service %s failed", name)
