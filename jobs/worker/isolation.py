"""Jobs in processes of their own: what may crash, spin or eat memory harms nobody else, and can be killed.

The children come from a single-threaded fork server that is itself a fresh interpreter, so no thread or connection of
the worker is copied. A child claims nothing: it runs the handler on the worker's claim, stores the end itself and
exits with 0; any other end of the process is a strike against the job, and so is one with 0 that left nothing stored.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import time
from multiprocessing.process import BaseProcess

from django.conf import settings

from jobs import registry
from jobs.context import timeout_seconds
from jobs.models import Job
from jobs.operations.leases import is_held
from jobs.operations.outcomes import Ended, How
from jobs.worker import child_process

LOOK_SECONDS = 0.05

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["jobs.worker.fork_server"])


def runs_alone(job: Job) -> bool:
    """Whether the job's type asks for it, or it was there when several workers died: then it shall be seen whose
    fault that was."""
    declared = registry.find(job.type, job.version)
    return declared is not None and (declared.isolate or job.lease_losses >= settings.CONFIG.suspect_lease_losses)


class IsolatedRun:
    """One claim run in a child process; to the worker it is what a ``JobContext`` is for a thread."""

    def __init__(self, job: Job) -> None:
        self.job_id = job.pk
        self.token = job.token
        self.lost = False
        self.called_off = False
        self.deadline = time.monotonic() + timeout_seconds(job)
        self._job = job

    def run(self) -> Ended | None:
        """Until the child ends or has to be killed. ``None``: the child stored the end, or it is not ours to store."""
        child = _processes.Process(target=child_process.main, args=(self.job_id, self.token), daemon=True)
        child.start()
        try:
            self._watch(child)
        finally:
            _kill(child)
        return self._verdict(child)

    def _watch(self, child: BaseProcess) -> None:
        while child.is_alive() and not (self.lost or self.called_off or time.monotonic() > self.deadline):
            child.join(LOOK_SECONDS)

    def _verdict(self, child: BaseProcess) -> Ended | None:
        if self.lost or (child.exitcode == 0 and not is_held(self.job_id, self.token)):
            return None
        if self.called_off:
            return _ended(self._job, How.CANCELLED, "cancelled", "the request was called off")
        if time.monotonic() > self.deadline:
            return timed_out(self._job)
        return _ended(self._job, How.STRUCK, "process_died", f"the job's process ended with {child.exitcode}")


def timed_out(job: Job) -> Ended:
    """The end of a claim that took longer than it may."""
    return _ended(job, How.FAILED, "timeout", "the job took too long")


def _ended(job: Job, how: How, code: str, detail: str) -> Ended:
    told = {"code": code, "detail": detail}
    return Ended(job_id=job.pk, token=job.token, lane_id=job.lane_id, parent_id=job.parent_id, how=how, error=told)


def _kill(child: BaseProcess) -> None:
    """The child and whatever it started. Just born, it does not lead a group of its own yet."""
    if child.pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
    child.kill()
    child.join()
