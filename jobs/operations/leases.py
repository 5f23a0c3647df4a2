"""Who may run a job: workers and their leases, the claim, and taking jobs back from workers that are gone.

Leases live on the worker's row and are compared by the database's clock. Each claim gives the job a new token; every
later write of the handler is bound to it, so a worker that lost its lease commits nothing.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from django.conf import settings
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from jobs import statements
from jobs.clock import in_seconds
from jobs.events.ledger import Ledger, ledger
from jobs.failpoints import failpoint
from jobs.models import Job, Worker
from jobs.operations import claiming, controls
from jobs.operations.apart import in_halves
from jobs.operations.claiming import Place
from jobs.operations.transitions import Move, apply, cancelled, lock, start, start_next
from jobs.pauses import pauses
from jobs.states import Status
from jobs.transport import Ticket

CLAIM_BATCH = 100
"""The most jobs in one claim: bounds how long their rows are locked."""


class LeaseLost(BaseException):
    """This worker's claim on the job is over. Not an ``Exception``, so that no handler swallows it."""


class CancelRequested(BaseException):
    """The job was called off: it may stop wherever it is. Not an ``Exception`` either."""


def register(*, name: str, queues: Sequence[str], slots: int) -> Worker:
    """A new worker with a fresh lease. A process that lost its lease registers again, as another worker."""
    return Worker.objects.create(
        name=name, queues=list(queues), slots=slots, lease_until=in_seconds(settings.CONFIG.lease_seconds)
    )


def beat(worker_id: int, *, lost_slots: int = 0) -> bool:
    """Renew the lease of a worker and so of all its jobs; ``False`` if it was declared gone meanwhile."""
    alive = Worker.objects.filter(pk=worker_id, ended_at=None)
    renewed = {"beat_at": Now(), "lost_slots": lost_slots, "lease_until": in_seconds(settings.CONFIG.lease_seconds)}
    with statements.one_statement():  # else a process that is stopped in between keeps the scheduler from burying it
        return alive.update(**renewed) == 1


def resign(worker_id: int) -> None:
    """The worker is leaving: what it still runs may be taken back at once."""
    Worker.objects.filter(pk=worker_id).update(lease_until=in_seconds(-1))


def claim(tickets: Sequence[Ticket], *, worker_id: int, alone: bool = False) -> list[Job]:
    """Take the jobs of these tickets whose token still fits, in the tickets' order.

    The rest were stale, doubled, or of queues that are paused, which get new tickets when they are resumed. ``alone``:
    they are thought to have no scope, and those that have none are taken first, in one trip.
    """
    found: list[Job] = []
    rest: Sequence[Ticket] = tickets
    if alone:
        found, rest = _claim_alone(tickets, worker_id)
    if rest:
        with ledger() as book:
            found += _start(book, rest, worker_id)
    return found


def _claim_alone(tickets: Sequence[Ticket], worker_id: int) -> tuple[list[Job], list[Ticket]]:
    failpoint("in_claim")
    with ledger(alone=True) as book:
        return start(book, tickets, worker_id=worker_id, paused=pauses.queues(), alone=True)


class Found(NamedTuple):
    """The jobs that a look for what is next has claimed, and whether there is more: it came upon as many as were asked
    for, also where limits hold them back."""

    jobs: list[Job]
    more: bool


def take_next(
    queues: Collection[str],
    *,
    limit: int,
    worker_id: int,
    ticketed: Sequence[bool] = (True, False),
    alone: bool = False,
) -> Found:
    """Take up to ``limit`` jobs straight from the database, queue by queue, in its order: Redis is not needed.

    Those that have a ticket somewhere, which are the first, or only those that have none. ``alone``: they are thought
    to have no scope, and those of the first that have none are taken in one trip.
    """
    places = _open(queues, ticketed)
    jobs = _next_alone(places, limit, worker_id) if alone else []
    room = limit - len(jobs)
    if not room:
        return Found(jobs, more=True)
    with ledger() as book:
        tickets = claiming.first(places, limit=room)
        jobs += _start(book, tickets, worker_id)
    return Found(jobs, more=len(tickets) == room)


def claim_next(queues: Collection[str], *, limit: int, worker_id: int) -> list[Job]:
    """What ``take_next`` claims."""
    return take_next(queues, limit=limit, worker_id=worker_id).jobs


def any_next(queues: Collection[str]) -> bool:
    """Whether anything waits that may run; asks without a transaction."""
    return bool(claiming.with_work(_open(queues, (True, False))))


def _open(queues: Collection[str], ticketed: Sequence[bool]) -> list[Place]:
    open_ = list(set(queues) - pauses.queues())
    random.shuffle(open_)  # the first may have more than can be taken: none shall always be last
    return [Place(queue, kind) for kind in ticketed for queue in open_]


def _next_alone(places: Sequence[Place], limit: int, worker_id: int) -> list[Job]:
    failpoint("in_claim")
    with ledger(alone=True) as book:
        return start_next(book, places, limit=limit, worker_id=worker_id)


def _start(book: Ledger, tickets: Sequence[Ticket], worker_id: int) -> list[Job]:
    jobs = start(book, tickets, worker_id=worker_id, paused=pauses.queues())[0] if tickets else []
    failpoint("in_claim")
    return jobs


def rescue(limit: int = CLAIM_BATCH) -> list[int]:
    """Give back jobs of workers whose lease ran out; they cost no attempt and go to the front. Returns their ids.

    Those that were called off end instead: nobody is left to stop.
    """
    return sorted(in_halves(list(_lost().values_list("pk", flat=True)[:limit]), _rescue))


def _lost() -> QuerySet[Job]:
    """In no order, else all jobs may be read."""
    return Job.objects.filter(Q(worker=None) | Q(worker__lease_until__lt=Now()), status=Status.RUNNING)


def _rescue(ids: Sequence[int]) -> set[int]:
    with _locked(ids, skip_locked=True) as (book, locked):
        # Looked at again under the lock: the worker may have renewed its lease, or the job may have ended.
        jobs = [locked[pk] for pk in _lost().filter(pk__in=[*locked]).values_list("pk", flat=True) if pk in ids]
        return _take_back(book, jobs, locked, _rescued)


@contextmanager
def _locked(ids: Collection[int], *, skip_locked: bool = False) -> Iterator[tuple[Ledger, dict[int, Job]]]:
    """A ledger and these jobs, locked; with the lanes and parents of those that were called off, which end here."""
    kin = Job.objects.filter(pk__in=ids, cancel_requested_at__isnull=False).values_list("lane", "parent")
    lanes, parents = ({pk for pk in column if pk is not None} for column in zip(*kin, strict=True)) if kin else ((), ())
    with ledger(lanes=lanes) as book:
        locked = lock({*ids, *parents}, skip_locked=skip_locked)
        yield book, locked
    controls.end_waiting(locked[pk] for pk in parents if pk in locked)


def _take_back(book: Ledger, jobs: Iterable[Job], locked: dict[int, Job], back: Callable[[Job], Move]) -> set[int]:
    """Move jobs ``back`` to the queue, or to their end; their ids. Whom that needs more locks for, because it was
    called off just now, is left as it is until the next look."""
    moves = []
    for job in jobs:
        if job.cancel_requested_at is None:
            moves.append(back(job))
        elif (job.lane_id is None or job.lane_id in book.lanes) and (job.parent_id is None or job.parent_id in locked):
            moves.append(cancelled(job))
    apply(book, moves, parents=locked)
    return {move.job.pk for move in moves}


def _rescued(job: Job) -> Move:
    changes = {"lease_losses": job.lease_losses + 1}
    return Move(job, Status.QUEUED, "job.rescued", {"worker": job.worker_id}, changes, front=True)


def _released(job: Job) -> Move:
    return Move(job, Status.QUEUED, "job.released", {"worker": job.worker_id}, front=True)


def bury() -> int:
    """Mark workers as gone whose lease ran out and that hold no jobs; how many."""
    idle = Worker.objects.filter(ended_at=None, lease_until__lt=Now())
    return idle.exclude(jobs__status=Status.RUNNING).update(ended_at=Now())


def claims_of(worker_id: int) -> set[tuple[int, int]]:
    """The (job id, token) pairs that this worker holds by the record."""
    return set(Job.objects.filter(worker=worker_id, status=Status.RUNNING).values_list("pk", "token"))


def is_held(job_id: int, token: int) -> bool:
    """Whether the claim with this token still stands."""
    return Job.objects.filter(pk=job_id, token=token, status=Status.RUNNING).exists()


def called_off(worker_id: int) -> set[int]:
    """The ids of the jobs that this worker runs and that were called off."""
    running = Job.objects.filter(worker=worker_id, status=Status.RUNNING, cancel_requested_at__isnull=False)
    return set(running.values_list("pk", flat=True))


def hand_back(claims: Iterable[tuple[int, int]]) -> list[int]:
    """Give unfinished (job id, token) claims back at once, as a shutdown does; they cost nothing. Returns the ids.

    Those that were called off end instead.
    """
    return sorted(in_halves(list(claims), _hand_back))


def _hand_back(claims: Sequence[tuple[int, int]]) -> set[int]:
    tokens = dict(claims)
    with _locked(tokens) as (book, locked):
        mine = [job for job in locked.values() if job.pk in tokens and held(job, tokens[job.pk])]
        return _take_back(book, mine, locked, _released)


def held(job: Job, token: int) -> bool:
    """Whether this locked row still belongs to the claim with this token."""
    return job.status == Status.RUNNING and job.token == token


def lock_held(job_id: int, token: int) -> Job:
    """The job's row, locked. ``LeaseLost`` if this claim is over, ``CancelRequested`` if the job was called off."""
    job = lock([job_id]).get(job_id)
    if job is None or not held(job, token):
        raise LeaseLost(f"job {job_id} is no longer ours (token {token})")
    if job.cancel_requested_at is not None:
        raise CancelRequested
    return job
