"""Emptying queues, and deleting what has been kept for long enough.

A job is deleted with its steps, logs and timeline. Numbered events stay, because streams have no gaps, and so do
approvals, turns and the audit log, which copied what they need.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Exists, OuterRef, Q, Value
from django.db.models.expressions import Combinable
from django.db.models.functions import Now
from uuid6 import uuid7

from accounts import audit
from jobs import queue_settings, sql, statements
from jobs.errors import Conflict, NotFound
from jobs.models import IdempotencyKey, Job, JobQuerySet, QueueControl, Worker
from jobs.models_dependencies import Dependency
from jobs.models_events import JobEvent
from jobs.models_operating import ControlKind
from jobs.operations import controls
from jobs.operations.operator import Operator
from jobs.operations.transitions import lock
from jobs.states import FINAL, Status

BATCH = 200
"""The most requests that are deleted in one transaction."""

for _action in ("queue.drained", "queue.cleaned", "job.cancelled"):
    audit.register_action(_action)


def delete(root_ids: Collection[int]) -> int:
    """Delete these requests with all beneath them, if they have ended and nobody needs them; how many that were."""
    with transaction.atomic():
        ended = {job.pk for job in lock(root_ids, skip_locked=True).values() if job.ended and job.root_id is None}
        ended -= needed(ended)
        beneath = Job.objects.filter(root__in=ended)
        family = [*ended, *beneath.values_list("pk", flat=True)]
        JobEvent.objects.filter(job__in=family, scope__isnull=False).update(job=None)
        beneath.update(parent=None, root=None)  # they protect each other only from being deleted singly
        Job.objects.filter(pk__in=family).delete()
    return len(ended)


def needed(root_ids: Collection[int]) -> set[int]:
    """Those of these requests that are kept because others need them, whoever wants to delete them."""
    return set(Job.objects.filter(_needed(), pk__in=root_ids).values_list("pk", flat=True))


def _needed() -> Q:
    """Its idempotency key is still good, or what has not begun depends on it or on what it called."""
    keys = IdempotencyKey.objects.filter(job=OuterRef("pk"), at__gte=_ago(settings.CONFIG.idempotency_seconds))
    waiting = Dependency.objects.filter(job__started_at=None, job__finished_at=None)
    itself, called = waiting.filter(on=OuterRef("pk")), waiting.filter(on__root=OuterRef("pk"))
    return Q(Exists(keys)) | Q(Exists(itself)) | Q(Exists(called))


def _ago(seconds: float) -> Combinable:
    return Now() - Value(timedelta(seconds=seconds))


# -- retention ---------------------------------------------------------------------------------------------------


def keep_seconds() -> dict[Status, float]:
    """How long ended requests are kept, where neither they nor their queue say otherwise."""
    config = settings.CONFIG
    return {
        Status.COMPLETED: config.keep_completed_seconds,
        Status.DEAD: config.keep_dead_seconds,
        Status.EXPIRED: config.keep_dead_seconds,
        Status.CANCELLED: config.keep_cancelled_seconds,
    }


def expired() -> list[JobQuerySet]:
    """The requests that need not be kept any longer: disjoint sets, each found by an index."""
    removable = Job.objects.roots().exclude(_needed())
    own = [keep for (keep,) in statements.ask(sql.different("jobs_job", "keep_seconds", "keep_seconds IS NOT NULL"))]
    kept = queue_settings.retentions()
    plain = removable.filter(keep_seconds=None)
    return [
        *(removable.filter(status__in=FINAL, keep_seconds=keep, finished_at__lt=_ago(keep)) for keep in own),
        *(plain.filter(status__in=FINAL, queue=queue, finished_at__lt=_ago(keep)) for queue, keep in kept.items()),
        *(
            plain.filter(status=status, finished_at__lt=_ago(keep)).exclude(queue__in=kept)
            for status, keep in keep_seconds().items()
        ),
    ]


def would_prune() -> dict[str, int]:
    """How many requests of each status ``prune`` would delete now."""
    counts: dict[str, int] = {}
    for found in expired():
        for status, count in found.order_by().values_list("status").annotate(Count("id")):
            counts[status] = counts.get(status, 0) + count
    return counts


def prune(limit: int = BATCH) -> int:
    """Delete one batch of what need not be kept, how many requests; and old keys, workers long gone and what jobs that
    have ended depended on."""
    _forget_dependencies()
    IdempotencyKey.objects.filter(at__lt=_ago(settings.CONFIG.idempotency_seconds)).delete()
    Worker.objects.filter(ended_at__lt=_ago(settings.CONFIG.keep_dead_seconds)).delete()
    deleted = 0
    for found in expired():
        if deleted < limit:
            ids = list(found.order_by("finished_at").values_list("pk", flat=True)[: limit - deleted])
            deleted += delete(ids) if ids else 0
    return deleted


def _forget_dependencies() -> None:
    """Of jobs that have ended. What is being deleted with its job is passed over: each might wait for the other."""
    with transaction.atomic():
        over = Dependency.objects.its_status(*FINAL).select_for_update(skip_locked=True)
        Dependency.objects.filter(pk__in=over.values("pk")).delete()


# -- queues ------------------------------------------------------------------------------------------------------


def drain(queue: str, *, by: Operator) -> int:
    """Call off every request of which a job waits in this queue for its first start; how many. What runs goes on."""
    waiting = Job.objects.not_begun().filter(queue=queue)
    roots = {root or pk for pk, root in waiting.values_list("pk", "root")}
    by = replace(by, bulk=str(uuid7()))
    drained = sum(_call_off(pk, by) for pk in sorted(roots))
    by.record("queue.drained", _control(queue), count=drained)
    return drained


def _call_off(root_id: int, by: Operator) -> bool:
    try:
        with transaction.atomic():
            by.record("job.cancelled", controls.cancel(root_id))
    except (Conflict, NotFound):
        return False  # it ended meanwhile
    return True


def clean(queue: str, *, statuses: Iterable[Status], older_than_seconds: float, by: Operator) -> int:
    """Delete a queue's requests that ended so long ago and nobody needs, whatever the retention says; how many."""
    wanted = set(statuses) & FINAL
    found = Job.objects.roots().filter(queue=queue, status__in=wanted, finished_at__lt=_ago(older_than_seconds))
    cleaned = sum(delete(ids) for ids in _batches(list(found.values_list("pk", flat=True))))
    by.record("queue.cleaned", _control(queue), count=cleaned, statuses=sorted(wanted), seconds=older_than_seconds)
    return cleaned


def _batches(ids: list[int]) -> Iterator[list[int]]:
    return (ids[start : start + BATCH] for start in range(0, len(ids), BATCH))


def _control(queue: str) -> QueueControl:
    return QueueControl.objects.get_or_create(kind=ControlKind.QUEUE, name=queue)[0]
