"""Waiting jobs on one worker with its default of 100 slots."""

from bench import sleeping
from bench.jobtypes import SLEEP, Nap
from bench.measures import Measure
from bench.ours.stack import running
from jobs.models import Job
from jobs.operations.enqueue import enqueue
from jobs.states import Status
from tests.waiting import wait_until


def completed() -> int:
    return Job.objects.filter(status=Status.COMPLETED).count()


def measure() -> list[Measure]:
    with running("worker", "scheduler") as stack:
        enqueue(SLEEP, Nap(seconds=0))
        wait_until(lambda: completed() == 1)
        nap = Nap(seconds=sleeping.SECONDS)
        wall, megabytes = sleeping.sleep_through(stack.pid("worker"), lambda: enqueue(SLEEP, nap), completed)
    return [cost for how in (sleeping.AT_ONCE, sleeping.IN_MEMORY) for cost in sleeping.costs(how, wall, megabytes)]
