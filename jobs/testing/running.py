"""Jobs run in the calling thread, as workers and the scheduler would run them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from django.db.models.functions import Now

from jobs.context import JobContext
from jobs.execution import execute
from jobs.inline import InlineRuntime, inline_context
from jobs.models import Job, Worker
from jobs.models_steps import JobStep, StepKind
from jobs.operations import leases
from jobs.operations.outcomes import settle
from jobs.scheduler.due import run_due, run_released
from jobs.states import Status
from jobs.transport import Ticket

MOST_TURNS = 1000

ContextOf = Callable[[Job], JobContext]


def run_next(context: ContextOf | None = None) -> Job | None:
    """Claim the next queued job, run it to its end or next wait, store that; ``None`` if nothing is queued."""
    ready = Job.objects.filter(status=Status.QUEUED, held_back_by="").order_by("id")
    queues = list(ready.values_list("queue", flat=True)[:1])
    jobs = leases.claim_next(queues, limit=1, worker_id=_worker().pk) if queues else []
    return _run(jobs, context)


def run_one(job: Job, context: ContextOf | None = None) -> Job | None:
    """``run_next`` for this job; ``None`` if it is not queued."""
    return _run(claim(job), context)


def claim(job: Job) -> list[Job]:
    """The job, claimed as it stands; nothing if it is not queued."""
    return leases.claim([Ticket(job.pk, job.token)], worker_id=_worker().pk)


def run_until_idle() -> int:
    """Run jobs until none may run, backoffs and delays included; how many turns it took. Nobody who sleeps wakes."""
    for turn in range(MOST_TURNS):
        end_delays()
        run_released()
        if run_next() is None:
            return turn
    raise AssertionError(f"jobs still run after {MOST_TURNS} turns: does a handler wait for itself?")


def end_delays() -> None:
    """What waits for its next attempt, or was enqueued for later, may run now."""
    Job.objects.filter(status=Status.SCHEDULED).update(scheduled_at=Now() - timedelta(seconds=1))
    run_due()


def run_next_killed() -> Job | None:
    """Like ``run_next``, but the handler is killed as soon as it has done one new step; the job is then rescued."""
    job = run_next(lambda claimed: _KilledContext(claimed, InlineRuntime()))
    if job is not None:
        bury_worker()
    return job


def bury_worker() -> None:
    """The process is dead, as after kill -9: what it ran is rescued."""
    Worker.objects.filter(name="inline").update(lease_until=Now() - timedelta(days=1))
    leases.rescue()
    leases.bury()


def steps_of(job: Job) -> list[str]:
    """The names of the finished steps of a job and its children, oldest first."""
    family = JobStep.objects.filter(job__root=job) | JobStep.objects.filter(job=job)
    return list(family.order_by("id").values_list("name", flat=True))


class _KilledContext(JobContext):
    """Leaves the handler when it has done something new and goes on, as kill -9 would."""

    _did_something = False

    def _go_live(self, name: str, kind: StepKind) -> None:
        if self._did_something:
            raise leases.LeaseLost("killed by the test")
        super()._go_live(name, kind)
        self._did_something = True


def _worker() -> Worker:
    return Worker.objects.filter(name="inline", ended_at=None).first() or leases.register(
        name="inline", queues=[], slots=1
    )


def _run(claimed: list[Job], context: ContextOf | None) -> Job | None:
    for job in claimed:
        ended = execute(job, context or inline_context)
        if ended is not None:
            settle([ended])
        return job
    return None
