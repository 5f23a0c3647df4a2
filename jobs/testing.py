"""For tests of handlers: run jobs here and now, without processes, and kill them wherever a step ends.

``run_until_idle`` does what workers and the scheduler would do, in the calling thread. ``replay_check`` runs a handler
again and again, killed after every step, and compares what comes out with the run that nobody disturbed.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db.models import F
from django.db.models.functions import Now

from jobs.context import JobContext
from jobs.execution import execute
from jobs.inline import InlineRuntime, inline_context
from jobs.models import Job, JobStep, Worker
from jobs.operations import leases
from jobs.operations.outcomes import settle
from jobs.scheduler.due import run_due
from jobs.states import Status

MOST_TURNS = 1000


def _worker() -> Worker:
    return Worker.objects.filter(name="inline", ended_at=None).first() or leases.register(
        name="inline", queues=[], slots=1
    )


def run_next(context: Callable[[Job], JobContext] | None = None) -> Job | None:
    """Claim the next queued job, run it to its end or next wait, store that; ``None`` if nothing is queued."""
    ready = Job.objects.filter(status=Status.QUEUED, held_back_by="").order_by("id")
    queues = list(ready.values_list("queue", flat=True)[:1])
    jobs = leases.claim_next(queues, limit=1, worker_id=_worker().pk) if queues else []
    for job in jobs:
        ended = execute(job, context or inline_context)
        if ended is not None:
            settle([ended])
        return job
    return None


def run_until_idle() -> int:
    """Run jobs until none may run, backoffs and delays included; how many turns it took."""
    for turn in range(MOST_TURNS):
        Job.objects.filter(status=Status.SCHEDULED).update(scheduled_at=Now() - timedelta(seconds=1))
        run_due()
        if run_next() is None:
            return turn
    raise AssertionError(f"jobs still run after {MOST_TURNS} turns: does a handler wait for itself?")


def steps_of(job: Job) -> list[str]:
    """The names of the finished steps of a job and its children, oldest first."""
    family = JobStep.objects.filter(job__root=job) | JobStep.objects.filter(job=job)
    return list(family.order_by("id").values_list("name", flat=True))


class _KilledContext(JobContext):
    """Leaves the handler right after a step was stored, as kill -9 would."""

    def _begin(self, name: str, kind: Any) -> Any:
        done = super()._begin(name, kind)
        if done is None and not self.replaying and self._done_here:
            raise leases.LeaseLost("killed by the test")
        self._done_here = done is None
        return done

    _done_here = False


def run_next_killed() -> Job | None:
    """Like ``run_next``, but the handler is killed as soon as it has done one new step; the job is then rescued."""
    job = run_next(lambda claimed: _KilledContext(claimed, InlineRuntime()))
    if job is not None:
        Worker.objects.filter(name="inline").update(lease_until=Now() - timedelta(days=1), started_at=F("started_at"))
        leases.rescue()
        leases.bury()
    return job


def replay_check(ask: Callable[[], Job], answer: Callable[[], object], describe: Callable[[Job], Any]) -> None:
    """Compare a run that is killed after every step with one that is not.

    ``ask`` enqueues the request; ``answer`` settles whatever it waits for (decisions), if anything; ``describe``
    gives what must be equal (its trace, result, effects).
    """

    def play(turn: Callable[[], Job | None]) -> Any:
        job = ask()
        for _ in range(MOST_TURNS):
            Job.objects.filter(status=Status.SCHEDULED).update(scheduled_at=Now() - timedelta(seconds=1))
            run_due()
            if turn() is None and not answer():
                break
        job.refresh_from_db()
        return describe(job)

    undisturbed, killed = play(run_next), play(run_next_killed)
    assert killed == undisturbed, f"killed after every step: {killed!r}\nundisturbed: {undisturbed!r}"
