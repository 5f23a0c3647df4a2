"""What operators look at: jobs page by page, counts, workers, and dead requests grouped by their cause."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypedDict, Unpack, cast
from uuid import UUID

from django.conf import settings
from django.db.models import Count, Max, Min, Q
from django.db.models.functions import Now

from jobs.lookup import one
from jobs.models import IdempotencyKey, Job, JobQuerySet, QueueControl, Worker, request_uuid
from jobs.models_operating import ControlKind
from jobs.states import Status


def find(public_id: str) -> Job | None:
    """The job of this id; ``None`` also for what is no id."""
    known = request_uuid(public_id)
    return one(Job.objects.filter(public_id=known)) if known else None


class Wanted(TypedDict, total=False):
    """Which jobs to list. ``owner`` is a user's name, ``scope`` a key; asked for ``since``, before ``until``."""

    status: str | None
    queue: str | None
    type: str | None
    fingerprint: str | None
    tag: str | None
    owner: str | None
    scope: str | None
    since: datetime | None
    until: datetime | None
    search: str | None


def wanted(**by: Unpack[Wanted]) -> JobQuerySet:
    """The jobs that are all of this; what is empty asks for nothing."""
    by = cast(Wanted, {name: value for name, value in by.items() if value})
    search, since, until = by.pop("search", None), by.pop("since", None), by.pop("until", None)
    owner, scope, tag = by.pop("owner", None), by.pop("scope", None), by.pop("tag", None)
    found = Job.objects.filter(named(search)) if search else Job.objects.all()
    found = found.of_owner(owner) if owner else found
    found = found.in_scope(scope) if scope else found
    found = found.filter(**by, **({"tags__tag": tag} if tag else {}))
    if since is not None:
        found = found.filter(public_id__gte=_first_id(since))
    return found if until is None else found.filter(public_id__lt=_first_id(until))


def named(word: str) -> Q:
    """The job of this id or, if it is a request's, with all that it called; else those of an idempotency key."""
    if (known := request_uuid(word)) is None:
        return Q(pk__in=IdempotencyKey.objects.filter(key=word).values("job"))
    job = one(Job.objects.filter(public_id=known).values_list("pk", flat=True))
    return Q(pk__in=[]) if job is None else Q(pk=job) | Q(root=job)


def _first_id(at: datetime) -> UUID:
    """The least id that a job of this moment can have: ids begin with their time in milliseconds."""
    return UUID(int=max(int(at.timestamp() * 1000), 0) << 80)


def page(found: JobQuerySet, *, before: UUID | None, limit: int) -> tuple[list[Job], UUID | None]:
    """The newest ``limit`` of these older than ``before``, and where the next page begins (``None`` at the end)."""
    if before is not None:
        found = found.filter(public_id__lt=before)
    shown = found.select_related("owner", "scope", "lane", "root").prefetch_related("tags")
    jobs = list(shown.order_by("-public_id")[: limit + 1])
    return jobs[:limit], jobs[limit - 1].public_id if len(jobs) > limit else None


def counts() -> dict[str, dict[str, int]]:
    """How many jobs of each status each queue has; every queue and status is there."""
    table = {queue: dict.fromkeys(Status.values, 0) for queue in settings.QUEUES}
    for queue, status, count in Job.objects.order_by().values_list("queue", "status").annotate(Count("id")):
        table.setdefault(queue, dict.fromkeys(Status.values, 0))[status] = count
    return table


def paused(kind: ControlKind) -> dict[str, datetime]:
    """Since when queues or workers are paused, by their names."""
    rows = QueueControl.objects.filter(kind=kind).values_list("name", "paused_at")
    return {name: since for name, since in rows if since is not None}


def live_workers() -> Iterable[Worker]:
    """The workers whose lease is good, with ``busy``: how many jobs each runs."""
    live = Worker.objects.filter(ended_at=None, lease_until__gt=Now()).order_by("name")
    return live.annotate(busy=Count("jobs", filter=Q(jobs__status=Status.RUNNING)))


def queue_rows() -> list[dict[str, Any]]:
    """A row for each queue: its counts, since when it is paused, and how many workers and slots serve it."""
    since, workers = paused(ControlKind.QUEUE), list(live_workers())
    return [
        {
            "name": queue,
            "paused_at": since.get(queue),
            "workers": sum(queue in worker.queues for worker in workers),
            "slots": sum(worker.slots - worker.lost_slots for worker in workers if queue in worker.queues),
            "counts": by_status,
        }
        for queue, by_status in counts().items()
    ]


def worker_rows() -> list[dict[str, Any]]:
    """A row for each live worker."""
    since = paused(ControlKind.WORKER)
    return [
        {
            "name": worker.name,
            "queues": worker.queues,
            "slots": worker.slots,
            "lost_slots": worker.lost_slots,
            "busy": worker.busy,  # type: ignore[attr-defined]  # annotated
            "started_at": worker.started_at,
            "beat_at": worker.beat_at,
            "paused_at": since.get(worker.name),
        }
        for worker in live_workers()
    ]


@dataclass(frozen=True)
class Cause:
    """Dead requests that died alike, told by the last of them."""

    fingerprint: str
    count: int
    first_at: datetime
    last_at: datetime
    type: str
    queue: str
    code: str
    detail: str
    request_id: str


def dead_letters() -> JobQuerySet:
    """The requests that are dead."""
    return Job.objects.roots().filter(status=Status.DEAD)


def causes(limit: int = 100, *, inspected: bool) -> list[Cause]:
    """The causes of death, the latest first; what the errors say only to those who may see what jobs hold."""
    dead = dead_letters().order_by().values("fingerprint")
    groups = dead.annotate(n=Count("id"), first=Min("finished_at"), last=Max("finished_at"), newest=Max("id"))
    found = list(groups.order_by("-last")[:limit])
    newest = Job.objects.in_bulk([group["newest"] for group in found])
    return [_cause(dict(group), newest[group["newest"]], inspected) for group in found if group["newest"] in newest]


def _cause(group: dict[str, Any], job: Job, inspected: bool) -> Cause:
    error = job.error or {}
    return Cause(
        fingerprint=group["fingerprint"],
        count=group["n"],
        first_at=group["first"],
        last_at=group["last"],
        type=job.type,
        queue=job.queue,
        code=str(error.get("code", "")),
        detail=str(error.get("detail", "")) if inspected else "",
        request_id=str(job.public_id),
    )
