"""From our enqueue to the handler."""

import time

from bench.jobtypes import STAMP, Sent
from bench.measures import Measure
from bench.ours.stack import running
from bench.starting import enqueue_slowly, start_latencies
from jobs.models import Job
from jobs.operations.enqueue import enqueue
from jobs.states import OPEN
from tests.waiting import wait_until


def measure() -> list[Measure]:
    with running("worker", "scheduler"):
        enqueue_slowly(lambda: enqueue(STAMP, Sent(at_ns=time.monotonic_ns())))
        wait_until(lambda: not Job.objects.filter(status__in=OPEN).exists())
        return start_latencies(Job.objects.order_by("id").values_list("result", flat=True))
