"""Limits on concurrency, kept at the claim: who finds no permit is held back until one is free.

A permit is a job's own row, never a counter, so that no crash can leak one: a queue's limit counts its running jobs, a
concurrency key's the jobs that have begun and not ended, through their waits and retries. The limit's row is locked by
those who count (``admitting``), before the scopes.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import cache

from django.conf import settings
from django.db import connection
from django.db.models import F, Q
from django.db.models.functions import Now

from jobs import limits, sql
from jobs.events.ledger import ledger
from jobs.models import Job, JobEvent
from jobs.models_limits import Limit
from jobs.operations import admitting, dispatch
from jobs.states import Status

RELEASE_BATCH = 100
"""The most jobs that one limit lets in at once."""


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
    return Job.objects.open().filter(of_key, started_at__gt=changed).exists()


def given_up(left: Iterable[Job], ended: Iterable[Job]) -> set[str]:
    """The limits that have a permit more now that these jobs run no longer and these have ended."""
    return limits.of_queues({job.queue for job in left}) | limits.of_keys({job.concurrency_key for job in ended})


def let_in(names: set[str]) -> None:
    """Queue as many of those whom these limits hold back as there are permits, at the front: they have waited.

    A transaction of its own, after the one that gave the permits up; if it is not reached, or somebody is being held
    back at this moment, the sweep does it.
    """
    if not _hold_back(names):
        return
    with ledger() as book:
        admitting.lock({name: limits.most(name) for name in names})
        held = admitting.held(names)
        for name in sorted(set(Job.objects.filter(held_back_by__in=names).values_list("held_back_by", flat=True))):
            most = limits.most(name)
            room = RELEASE_BATCH if most is None else most - held[name] - _on_their_way(name)
            waiting = Job.objects.filter(held_back_by=name).in_order().select_for_update(skip_locked=True)
            jobs = list(waiting[: min(room, RELEASE_BATCH)]) if room > 0 else []
            Job.objects.filter(pk__in=[job.pk for job in jobs]).update(held_back_by="", ticketed=True)
            # The list's front is filled from the back, so that the first of them comes first.
            book.pushes += [dispatch.push(job, front=True) for job in reversed(jobs)]


def _hold_back(names: set[str]) -> bool:
    """Whether any of these limits holds somebody back: asked after every set of ends, and mostly none does."""
    found = sql.execute(_held_back(connection.vendor), [{"held_back_by": name} for name in names])
    return bool(found[0][0])


@cache
def _held_back(vendor: str) -> str:
    among = sql.among(sql.table(held_back_by="text"), "held_back_by")
    return f"SELECT EXISTS (SELECT 1 FROM jobs_job WHERE held_back_by <> '' AND {among})"


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
