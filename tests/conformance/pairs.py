"""The pairs of database and transport that matter, and a queue that runs on one of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from jobs.embedded import Embedded
from jobs.models import Job
from jobs.models_events import JobEvent
from jobs.operations.enqueue import enqueue
from jobs.registry import JobType
from jobs.states import FINAL, Status
from tests.conformance.kinds import ISOLATED, THREADS, Task
from tests.waiting import wait_until

QUEUES = ["system"]
NOWHERE = "unix:///nowhere/redis.sock"


@dataclass(frozen=True)
class Pair:
    """``redis``: whether there is one. ``isolated``: every job in a process of its own."""

    name: str
    database: str
    transport: str = "redis"
    redis: bool = True
    isolated: bool = False

    def __str__(self) -> str:
        return self.name


PAIRS = [
    Pair("sqlite-threads-rq", "sqlite"),
    Pair("sqlite-memory", "sqlite", transport="memory", redis=False),
    Pair("postgres-isolated-rq", "postgres", isolated=True),
    Pair("postgres-threads-no-redis", "postgres", redis=False),
]


@dataclass
class Bed:
    """A queue on this pair. Nothing runs before ``start``."""

    pair: Pair
    running: list[Embedded] = field(default_factory=list)

    @property
    def kind(self) -> JobType:
        return ISOLATED if self.pair.isolated else THREADS

    def start(self, *, slots: int = 4) -> None:
        self.running.append(Embedded(slots=slots, queues=QUEUES).start())

    def stop(self) -> None:
        while self.running:
            self.running.pop().stop()

    def ask(self, do: str = "echo", *, text: str = "", seconds: float = 0.0, **options: Any) -> Job:
        return enqueue(self.kind, Task(do=do, text=text, seconds=seconds), **options)

    def until(self, job: Job, *statuses: Status) -> Job:
        """The job, once it has one of these statuses."""
        wait_until(lambda: fresh(job).status in statuses, what=f"{job}: {', '.join(statuses)}")
        return fresh(job)

    def end_of(self, job: Job) -> Job:
        """The job, once it has ended."""
        return self.until(job, *FINAL)

    def ends_of(self, *jobs: Job) -> list[Job]:
        return [self.end_of(job) for job in jobs]


def fresh(job: Job) -> Job:
    return Job.objects.get(pk=job.pk)


def order_of(event: str) -> list[Any]:
    """What jobs were told to say, in the order of this event of theirs."""
    return list(JobEvent.objects.filter(event=event).order_by("id").values_list("job__payload__text", flat=True))


def noted(job: Job, event: str) -> int:
    """How often this is in the job's timeline."""
    return JobEvent.objects.filter(job=job, event=event).count()
