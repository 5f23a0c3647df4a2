"""From django-rq's enqueue to the task."""

import time

from django_rq import get_queue
from rq.job import Job

from bench.measures import Measure
from bench.peer.processes import worker
from bench.peer.tasks import stamp
from bench.starting import enqueue_slowly, start_latencies
from tests.waiting import wait_until


def measure() -> list[Measure]:
    queue, jobs = get_queue(), list[Job]()
    with worker():
        enqueue_slowly(lambda: jobs.append(queue.enqueue(stamp, time.monotonic_ns())))
        wait_until(lambda: queue.finished_job_registry.count == len(jobs))
        return start_latencies([job.return_value(refresh=True) for job in jobs])
