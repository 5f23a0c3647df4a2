"""Which queued jobs have a ticket on their queue's list.

The list is kept filled up to a window in the database's order, so that order, priority and limits are decided here
and a lost list is refilled. A job that becomes runnable gets its ticket at once, unless an older runnable job of its
queue still waits for one or the list is full; then ``refill`` hands them out in order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from django.conf import settings
from django.db import transaction

from jobs.events.ledger import Ledger, ledger
from jobs.models import Job, JobQuerySet
from jobs.operations import claiming
from jobs.pauses import pauses
from jobs.states import Status
from jobs.transport import Push, Ticket, transport


def choose(book: Ledger, runnable: Sequence[tuple[Job, bool]]) -> set[int]:
    """The ids of those jobs that get a ticket when this ledger commits; ``True`` marks one for the front."""
    chosen: set[int] = set()
    behind: dict[str, bool] = {}
    for job, front in runnable:
        if job.queue not in behind:
            behind[job.queue] = not may_push(job.queue)
        if behind[job.queue] and not front:
            continue
        book.pushes.append(push(job, front=front))
        chosen.add(job.pk)
    refill_later(book, (job.queue for job, _ in runnable if job.pk not in chosen))
    return chosen


def push(job: Job, *, front: bool = False) -> Push:
    """The ticket of a job as it stands."""
    return Push(job.queue, Ticket(job.pk, job.token), front)


def refill_later(book: Ledger, queues: Iterable[str]) -> None:
    """Once this ledger has committed, in which jobs of these queues got no ticket, fill the lists that have room.

    Those whom they stood behind may have been taken meanwhile, and then nobody comes to look.
    """
    if unfilled := set(queues):
        book.afterwards.append(lambda: _refill(unfilled))  # a name is what Django tells of a hook that fails


def _refill(queues: set[str]) -> None:
    for queue in queues:
        if not full(queue):
            refill(queue)


def push_again(locked: Iterable[Job]) -> None:
    """Once this transaction has committed, another ticket for those of these locked jobs whose claim is due.

    A claim passes over what is locked, and drops the ticket. One ticket too many is harmless.
    """
    pushes = [push(job) for job in locked if job.status == Status.QUEUED and job.ticketed]
    if pushes:
        transaction.on_commit(lambda: transport().send(pushes, {}))


def may_push(queue: str) -> bool:
    """Whether a job that becomes runnable now would be next in order on a list that has room."""
    return not full(queue) and _first_unticketed(queue) is None


def full(queue: str) -> bool:
    """Whether the queue's list was at its window a moment ago."""
    return transport().full(queue)


def _first_unticketed(queue: str) -> Job | None:
    """Asked for in order, it is found by the index that has it; whether there is any, PostgreSQL may else find out by
    reading all that have tickets."""
    return Job.objects.ready(queue).filter(ticketed=False).in_order().only("priority", "rank").first()


def refill(queue: str) -> int:
    """Fill the queue's list up to the window; how many tickets were pushed.

    Nothing happens while Redis is away or the queue is paused. Whoever is enqueued meanwhile, and stands behind those
    who had no ticket, gets one too: nobody would hand it out before the next look.
    """
    pushed = 0
    while queue not in pauses.queues() and _first_unticketed(queue) is not None:
        length = transport().length(queue)
        room = 0 if length is None else settings.CONFIG.ticket_window - length
        tickets = _hand_out(queue, room) if room > 0 else []
        pushed += len(tickets)
        if not tickets or len(tickets) == room:
            break
    return pushed


def _hand_out(queue: str, room: int) -> list[Ticket]:
    with ledger() as book:
        tickets = claiming.first([claiming.Place(queue, ticketed=False)], limit=room)
        Job.objects.filter(pk__in=[ticket.job_id for ticket in tickets]).update(ticketed=True)
        book.pushes += [Push(queue, ticket) for ticket in tickets]
    return tickets


def clear_marks(queue: str) -> int:
    """Forget which jobs have tickets, because the list holds fewer: they were lost. Doubled tickets are harmless.

    Who is being claimed is passed over: waiting for it, in an order that is nobody's, ends in a deadlock with its end.
    """
    with transaction.atomic():
        marked = list(_ticketed(queue).select_for_update(skip_locked=True, no_key=True).values_list("pk", flat=True))
        return Job.objects.filter(pk__in=marked).update(ticketed=False)


def rebuild(queue: str) -> None:
    """Hand out the queue's tickets anew, in today's order: after a pause, or when priorities have changed."""
    withdraw(queue)
    refill(queue)


def withdraw(queue: str) -> None:
    """Take all tickets back: what runs next is found in the record, in its order."""
    transport().empty(queue)
    clear_marks(queue)


def missed(queue: str, length: int) -> Ticket | None:
    """The first ticket that was handed out, if more are thought to be out than the list has."""
    found = _ticketed(queue).in_order().values_list("pk", "token")
    first = found.first() if found[length : length + 1] else None
    return Ticket(*first) if first else None


def _ticketed(queue: str) -> JobQuerySet:
    return Job.objects.ready(queue).filter(ticketed=True)


def disordered(queue: str) -> bool:
    """Whether a job without a ticket comes before the last of those that have one."""
    last = _ticketed(queue).order_by("-priority", "-rank", "-id").first()
    waits = _first_unticketed(queue)
    return last is not None and waits is not None and order(waits) < order(last)


def order(job: Job) -> tuple[int, int]:
    """What jobs of a queue are handed out by, before their age."""
    return job.priority, job.rank


def turn(job: Job) -> tuple[int, int, int]:
    """What jobs of a queue are handed out by."""
    return *order(job), job.pk


def queues_with_work() -> set[str]:
    """The queues in which something may run."""
    places = [claiming.Place(queue, ticketed) for queue in settings.QUEUES for ticketed in (True, False)]
    return {place.queue for place in claiming.with_work(places)}
