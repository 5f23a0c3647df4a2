"""Limits on concurrency, kept at the claim: who finds no permit is held back until one is free.

A permit is a job's own row, never a counter, so that no crash can leak one: a queue's limit counts its running jobs, a
concurrency key's the jobs that have begun and not ended, through their waits and retries. The limit's row is locked by
those who count (``admitting``), before the scopes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from functools import cache, reduce
from operator import or_

from django.conf import settings
from django.db.models import F, Q
from django.db.models.functions import Now

from jobs import limits, sql, statements
from jobs.events.ledger import ledger
from jobs.models import Job
from jobs.models_events import JobEvent
from jobs.models_limits import Limit
from jobs.operations import admitting, dispatch
from jobs.pauses import pauses
from jobs.states import Status

RELEASE_BATCH = 100
"""The most jobs of a queue that one limit lets in at once."""


def bounded_by(name: str) -> Q:
    """The jobs of this limit's queue, or whose concurrency key is the limit's or lies beneath it."""
    if name.startswith(limits.QUEUE):
        return Q(queue=name.removeprefix(limits.QUEUE))
    return Q(concurrency_key=name) | Q(concurrency_key__startswith=f"{name}/")


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
    return Job.objects.open().filter(bounded_by(name), started_at__gt=changed).exists()


def given_up(left: Iterable[Job], ended: Iterable[Job]) -> set[str]:
    """The limits that have a permit more now that these jobs run no longer and these have ended."""
    return limits.of_queues({job.queue for job in left}) | limits.of_keys({job.concurrency_key for job in ended})


def let_in(names: set[str]) -> None:
    """Queue those whom these limits hold back and for whom there are permits, at the front: they have waited.

    A transaction of its own, after the one that gave the permits up; if it is not reached, the sweep does it.
    """
    if _hold_back(names):
        _let_in(names)


def let_in_late(names: set[str]) -> None:
    """``let_in`` after a claim by which these limits hold somebody back.

    Who gave a permit up between the claim's count and its commit was still counted, and did not see them.
    """
    if any(free > 0 for free in _free(names).values()):
        _let_in(names)


def _let_in(names: set[str]) -> None:
    """Queue by queue: nobody has to wait for those in a queue that no worker serves, whose ranks tell nothing here.

    So more may be let in than there are permits, and are held back again by the claim, which decides.
    """
    with ledger() as book:
        admitting.lock({name: limits.most(name) for name in names})
        for queue in sorted(_queues_of(names) - pauses.queues()):
            held = [job for name in sorted(names) for job in _line(queue, name)]
            stops = _stops(held, _on_their_way(queue, names))
            for stop in {stops[job.pk] for job in held if stops[job.pk] != job.held_back_by}:
                stopped = [job.pk for job in held if stops[job.pk] == stop]
                Job.objects.filter(pk__in=stopped).update(held_back_by=stop, ticketed=not stop)
            # The list's front is filled from the back, so that the first of them comes first.
            allowed = [job for job in sorted(held, key=dispatch.turn) if not stops[job.pk]]
            book.pushes += [dispatch.push(job, front=True) for job in reversed(allowed)]


def _line(queue: str, name: str) -> Iterable[Job]:
    """The first whom a limit holds back in a queue, locked."""
    held_back = Job.objects.filter(queue=queue, held_back_by=name).exclude(held_back_by="")  # as their index has it
    return held_back.in_order().select_for_update(skip_locked=True).only(*_ASKED)[:RELEASE_BATCH]


def _on_their_way(queue: str, names: set[str]) -> Iterable[Job]:
    """The first in a queue who are about to ask for permits of these limits."""
    ready = Job.objects.ready(queue).filter(ticketed=True).in_order().only(*_ASKED)
    if limits.QUEUE + queue not in names:
        ready = ready.filter(reduce(or_, map(bounded_by, names)), started_at=None)
    return ready[:RELEASE_BATCH]


_ASKED = ("queue", "token", "priority", "rank", "concurrency_key", "started_at", "held_back_by")


def _stops(held: Sequence[Job], coming: Iterable[Job]) -> dict[int, str]:
    """Which limit would hold each of these jobs of a queue back, if they all asked in its order; "" for none."""
    jobs = sorted([*held, *coming], key=dispatch.turn)
    needed = {job.pk: limits.needed(job.queue, "" if job.started_at else job.concurrency_key) for job in jobs}
    free = _free({name for names in needed.values() for name in names})
    stops: dict[int, str] = {}
    for job in jobs:
        full = [name for name in needed[job.pk] if free[name] <= 0]
        stops[job.pk] = job.held_back_by if job.held_back_by in full else next(iter(full), "")
        free.subtract(() if full else needed[job.pk])
    return stops


def _free(names: Collection[str]) -> Counter[str]:
    """How many permits of each limit nobody holds."""
    held = admitting.held(names)
    return Counter({name: (limits.most(name) or 0) - held[name] for name in names})


def _hold_back(names: set[str]) -> bool:
    """Whether any of these limits holds somebody back: asked after every set of ends, and mostly none does."""
    found = statements.execute(_held_back(), [{"held_back_by": name} for name in names])
    return bool(found[0][0])


@cache
def _held_back() -> str:
    among = sql.among(sql.table(held_back_by="text"), "held_back_by")
    return f"SELECT EXISTS (SELECT 1 FROM jobs_job WHERE {_HELD_BACK} AND {among})"


_HELD_BACK = "NOT (held_back_by = '')"
"""In the words of the index that has these jobs: for others SQLite would read all jobs."""


def _queues_of(names: Collection[str]) -> set[str]:
    """The queues in which these limits hold somebody back."""
    rows = [{"name": name, "queue": queue} for name in names for queue in settings.QUEUES]
    return {queue for (queue,) in statements.execute(_queues_held_back(), rows)}


@cache
def _queues_held_back() -> str:
    """However many are held back, the first of each queue and limit is found by index."""
    return f"""
        SELECT DISTINCT f.queue FROM {sql.table(name="text", queue="text")} WHERE (
            SELECT id FROM jobs_job WHERE held_back_by = f.name AND queue = f.queue AND {_HELD_BACK}
            ORDER BY priority, rank, id LIMIT 1
        ) IS NOT NULL"""


def let_in_all() -> int:
    """Look at every limit that holds somebody back, or is no more: it may have been raised, or taken away. How many."""
    names = {name for (name,) in statements.ask(sql.different("jobs_job", "held_back_by", _HELD_BACK))}
    enforced = Limit.objects.filter(enforced__isnull=False).values_list("key", flat=True)
    names |= {name for name in enforced if limits.most(name) is None}
    if names:
        _let_in(names)
    return len(names)
