"""Limits on concurrency, kept at the claim: who finds no permit is held back until one is free.

A permit is a job's own row, never a counter, so that no crash can leak one: a queue's limit counts its running jobs, a
concurrency key's the jobs that have begun and not ended, through their waits and retries. The limit's row is locked by
those who count: after the jobs, before the scopes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Count, F, Q
from django.db.models.functions import Now

from jobs import limits
from jobs.events.ledger import ledger
from jobs.models import Job, JobEvent, JobQuerySet
from jobs.models_limits import Limit
from jobs.operations import dispatch
from jobs.states import Status

RELEASE_BATCH = 100
"""The most jobs that one limit lets in at once."""


def admit(jobs: Sequence[Job]) -> list[Job]:
    """Those of these locked, queued jobs that may run now, in their order; the others are held back."""
    wanted = {job.pk: _wanted(job) for job in jobs}
    names = {name for found in wanted.values() for name in found}
    if not names:
        return list(jobs)
    free = _free(names)
    admitted: list[Job] = []
    held_back: dict[str, list[Job]] = {}
    for job in jobs:
        full = next((name for name in wanted[job.pk] if free[name] <= 0), None)
        if full is not None:
            held_back.setdefault(full, []).append(job)
            continue
        free.subtract(wanted[job.pk])
        admitted.append(job)
    for name, held in held_back.items():
        Job.objects.filter(pk__in=[job.pk for job in held]).update(held_back_by=name, ticketed=False)
    return admitted


def _wanted(job: Job) -> list[str]:
    """The limits under which it needs a permit: it keeps its key's from its first claim on."""
    return limits.of_queue(job) + (limits.of_key(job) if job.started_at is None else [])


def _free(names: set[str]) -> Counter[str]:
    """How many permits each limit has left, its row being locked."""
    _enforce(_locked(names))
    taken = held(names)
    return Counter({name: (limits.most(name) or 0) - taken[name] for name in names})


def _locked(names: set[str]) -> list[Limit]:
    found = list(Limit.objects.select_for_update().filter(key__in=names).order_by("pk"))
    if len(found) == len(names):
        return found
    Limit.objects.bulk_create([Limit(key=name) for name in sorted(names)], ignore_conflicts=True)
    return list(Limit.objects.select_for_update().filter(key__in=names).order_by("pk"))


def _enforce(locked: Iterable[Limit]) -> None:
    """Note by which limits is admitted from now on, where they were others before."""
    for limit in locked:
        most = limits.most(limit.key)
        if most != limit.enforced:
            Limit.objects.filter(pk=limit.pk).update(enforced=most, enforced_since=Now())


def held(names: set[str]) -> Counter[str]:
    """How many jobs hold permits of each of these limits."""
    found: Counter[str] = Counter()
    queues = [name.removeprefix(limits.QUEUE) for name in names if name.startswith(limits.QUEUE)]
    if queues:
        running = Job.objects.filter(status=Status.RUNNING, queue__in=queues)
        found.update({limits.QUEUE + queue: n for queue, n in _counted(running, "queue")})
    keys = names - {limits.QUEUE + queue for queue in queues}
    if keys:
        for key, n in _counted(holders(), "concurrency_key"):
            found.update(dict.fromkeys(limits.prefixes(key), n))
    return found


def holders() -> JobQuerySet:
    """The jobs that hold permits of concurrency keys."""
    return Job.objects.open().filter(started_at__isnull=False).exclude(concurrency_key="")


def given_since(name: str, at: datetime | None) -> bool:
    """Whether any of those who hold a permit of this limit were given it since then.

    Not at once: other processes admit by what they last read for ``queue_settings_seconds``.
    """
    changed = Now() if at is None else at + timedelta(seconds=settings.CONFIG.queue_settings_seconds)
    if name.startswith(limits.QUEUE):
        running = Job.objects.filter(status=Status.RUNNING, queue=name.removeprefix(limits.QUEUE))
        return JobEvent.objects.filter(
            job__in=running, event="job.started", token=F("job__token"), at__gt=changed
        ).exists()
    of_key = Q(concurrency_key=name) | Q(concurrency_key__startswith=f"{name}/")
    return holders().filter(of_key, started_at__gt=changed).exists()


def _counted(jobs: JobQuerySet, column: str) -> Iterable[tuple[str, int]]:
    return jobs.order_by().values_list(column).annotate(Count("pk"))


def given_up(left: Iterable[Job], ended: Iterable[Job]) -> set[str]:
    """The limits that have a permit more now that these jobs run no longer and these have ended."""
    of_queues = {name for job in left for name in limits.of_queue(job)}
    return of_queues | {name for job in ended for name in limits.of_key(job)}


def let_in(names: set[str]) -> None:
    """Queue as many of those whom these limits hold back as there are permits, at the front: they have waited.

    A transaction of its own, after the one that gave the permits up; if it is not reached, or somebody is being held
    back at this moment, the sweep does it.
    """
    if not Job.objects.filter(held_back_by__in=names).exists():
        return
    with ledger() as book:
        free = _free(names)
        for name in sorted(set(Job.objects.filter(held_back_by__in=names).values_list("held_back_by", flat=True))):
            room = RELEASE_BATCH if limits.most(name) is None else free[name] - _on_their_way(name)
            waiting = Job.objects.filter(held_back_by=name).in_order().select_for_update(skip_locked=True)
            jobs = list(waiting[: min(room, RELEASE_BATCH)]) if room > 0 else []
            Job.objects.filter(pk__in=[job.pk for job in jobs]).update(held_back_by="", ticketed=True)
            # The list's front is filled from the back, so that the first of them comes first.
            book.pushes += [dispatch.push(job, front=True) for job in reversed(jobs)]


def _on_their_way(name: str) -> int:
    """How many are about to ask for these permits."""
    ready = Job.objects.filter(status=Status.QUEUED, held_back_by="", ticketed=True)
    if name.startswith(limits.QUEUE):
        return ready.filter(queue=name.removeprefix(limits.QUEUE)).count()
    of_key = Q(concurrency_key=name) | Q(concurrency_key__startswith=f"{name}/")
    return ready.filter(of_key, started_at=None).count()


def let_in_all() -> int:
    """Look at every limit that holds somebody back, or is no more: it may have been raised, or taken away. How many."""
    names = set(Job.objects.exclude(held_back_by="").values_list("held_back_by", flat=True).distinct())
    enforced = Limit.objects.filter(enforced__isnull=False).values_list("key", flat=True)
    names |= {name for name in enforced if limits.most(name) is None}
    if names:
        let_in(names)
    return len(names)
