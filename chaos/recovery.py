"""How long it took until a job went on whose worker or whose own process was killed, or whose worker was stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from statistics import median

from django.db.models import Q, QuerySet

from chaos.handlers import process
from chaos.nemesis import Struck
from jobs.models import Worker
from jobs.models_events import JobEvent
from jobs.models_steps import JobLog

Recovered = Callable[[datetime, int], Iterator[float]]


def after(struck: Iterable[Struck], recovered: Recovered) -> list[float]:
    """For each job that was struck: the seconds until it went on, the shortest first."""
    return sorted(seconds for at, pid in struck for seconds in recovered(datetime.fromtimestamp(at, UTC), pid))


def worker_killed(at: datetime, pid: int) -> Iterator[float]:
    """Until each of its jobs ran again."""
    for rescued in _of_worker(at, pid).filter(event="job.rescued"):
        yield from _until_started(at, rescued)


def worker_stopped(at: datetime, pid: int) -> Iterator[float]:
    """Until each of the jobs that it did not finish could be claimed again."""
    for freed in _of_worker(at, pid).filter(Q(event="job.released") | Q(event="job.rescued")):
        yield (freed.at - at).total_seconds()


def child_killed(at: datetime, pid: int) -> Iterator[float]:
    """Until the job ran again."""
    said = JobLog.objects.filter(text=process(pid), at__lte=at).order_by("id").last()
    if said is not None:
        failed = JobEvent.objects.filter(job=said.job_id, at__gte=at).order_by("id").first()
        if failed is not None and failed.event == "job.retried":
            yield from _until_started(at, failed)


def _of_worker(at: datetime, pid: int) -> QuerySet[JobEvent]:
    """What became of its claims since then, by the worker ids that this process had."""
    there = Q(started_at__lte=at) & (Q(ended_at=None) | Q(ended_at__gte=at))  # the system uses a pid again
    workers = list(Worker.objects.filter(there, name__endswith=f".{pid}").values_list("pk", flat=True))
    return JobEvent.objects.filter(data__worker__in=workers, at__gte=at)


def _until_started(at: datetime, free: JobEvent) -> Iterator[float]:
    again = JobEvent.objects.filter(job=free.job_id, event="job.started", id__gt=free.pk).order_by("id").first()
    if again is not None:
        yield (again.at - at).total_seconds()


def described(seconds: Sequence[float]) -> str:
    """Median and maximum, for people."""
    return f"p50 {median(seconds):.1f} s, max {seconds[-1]:.1f} s ({len(seconds)} jobs)" if seconds else "none needed"
