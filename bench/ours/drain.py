"""No-op jobs with full history through two worker processes: recorded one by one and in bulk, then worked off."""

from __future__ import annotations

from django.db.models import Max, Min

from bench import draining
from bench.draining import rate
from bench.jobtypes import NOTHING, Nothing
from bench.measures import Measure
from bench.ours.stack import running
from jobs.events.ledger import ledger
from jobs.models import Job, Worker
from jobs.operations.enqueue import enqueue, enqueue_many
from jobs.states import OPEN
from tests.waiting import wait_until

WORKERS = ("worker.1", "worker.2")


def measure() -> list[Measure]:
    with running(*WORKERS):
        wait_until(lambda: Worker.objects.count() == len(WORKERS), timeout=30, what="two workers")
        return [
            rate("enqueue no-op jobs one by one", draining.SINGLY, _singly),
            _drained("drain no-op jobs enqueued one by one", draining.SINGLY),
            rate("enqueue no-op jobs in bulk", draining.COUNT, _bulk),
            _drained("drain no-op jobs", draining.COUNT),
            rate("enqueue no-op jobs with lanes and scopes", draining.LANED, _laned),
            _drained("drain no-op jobs with lanes and scopes", draining.LANED),
        ]


def _drained(workload: str, count: int) -> Measure:
    wait_until(lambda: not Job.objects.filter(status__in=OPEN).exists(), timeout=300, what="an empty queue")
    times = Job.objects.order_by("-id")[:count].values("started_at", "finished_at")
    span = times.aggregate(first=Min("started_at"), last=Max("finished_at"))
    return Measure(workload, count / (span["last"] - span["first"]).total_seconds(), "/s", "higher")


def _singly() -> None:
    for _ in range(draining.SINGLY):
        enqueue(NOTHING, Nothing())


def _bulk() -> None:
    enqueue_many(NOTHING, [{}] * draining.COUNT)


def _laned() -> None:
    each = draining.LANED // draining.LANES
    keys = [f"bench:{lane}" for lane in range(draining.LANES)]
    with ledger(lanes=keys):
        for key in keys:
            enqueue_many(NOTHING, [{}] * each, scope=key, ordering_key=key)
