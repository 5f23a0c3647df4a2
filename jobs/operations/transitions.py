"""The one writer of ``Job.status``.

Every change goes through ``apply``: on rows locked in this ledger, along ``states.TRANSITIONS``, with its event in
the same transaction, as one statement for a whole set. The three that every job makes are sets in SQL, by the same
rules (``hot``): its birth, ``start`` and ``complete``. What follows from a job's end (its parent's answer, the next
in its lane, the request's last event) is written here too, so no caller can forget it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db.models import OuterRef, Subquery
from django.db.models.functions import Now

from jobs import limits, registry
from jobs.events.ledger import Ledger, LedgerError, ledger
from jobs.models import Job, Lane
from jobs.models_dependencies import Dependency, IfDead
from jobs.models_steps import JobStep, StepKind
from jobs.models_waits import Wait, WaitState
from jobs.operations import admitting, claiming, dispatch, hot, permits, step_events
from jobs.states import FINAL, OPEN, TRANSITIONS, RequestStatus, Status
from jobs.transport import Ticket

CANCELLED = {"code": "cancelled", "detail": "the request was called off"}


class IllegalTransition(RuntimeError):
    """A change of status that ``states.TRANSITIONS`` does not know: a defect of the caller."""


@dataclass
class Move:
    """One job's change of status: the event that tells of it, and the columns that change with it."""

    job: Job
    to: Status
    event: str
    data: dict[str, Any] = field(default_factory=dict)
    changes: dict[str, Any] = field(default_factory=dict)
    front: bool = False


def lock(ids: Iterable[int], *, skip_locked: bool = False) -> dict[int, Job]:
    """The jobs of these ids, locked in id order: a parent is always older than its children.

    Locks by id alone and leaves status and token to the caller: a status next to the id list would make the planner
    walk a partial index instead.
    """
    wanted = set(ids)
    if not wanted:
        return {}
    found = {job.pk: job for job in hot.locked(wanted, skip=skip_locked)}
    dispatch.push_again(found.values())
    return found


def apply(book: Ledger, moves: Sequence[Move], *, parents: dict[int, Job] | None = None) -> None:
    """Carry out moves of locked jobs; ``parents`` are the locked rows of the parents of those that end."""
    for move in moves:
        _check(move)
    ticketed = dispatch.choose(book, [(move.job, move.front) for move in moves if move.to == Status.QUEUED])
    was = {move.job.pk: move.job.status for move in moves}
    for move in moves:
        move.changes = {"status": move.to, "ticketed": move.job.pk in ticketed, **move.changes}
        if move.to != Status.RUNNING:
            move.changes.setdefault("worker_id", None)
        if move.job.held_back_by:
            move.changes["held_back_by"] = ""
        if move.to == Status.QUEUED:
            move.changes["queued_at"] = Now()
        if move.to in FINAL:
            move.changes |= {"finished_at": Now(), "awaiting_approval": False}
        book.note(move.job, move.event, move.data)
    ended = [move.job for move in moves if move.to in FINAL]
    waited = [job for job in ended if was[job.pk] == Status.WAITING]
    deciding = [job for job in ended if job.awaiting_approval or job in waited]
    hot.line_up(move.job for move in moves if move.to == Status.QUEUED and _first_time(move))
    _write(moves)
    _give_up_permits(book, [move.job for move in moves if was[move.job.pk] == Status.RUNNING], ended)
    if not ended:
        return
    _withdraw_decisions(deciding)
    _withdraw_waits(waited)
    for job in ended:
        _tell_end(book, job)
    _answer_parents(book, ended, parents or {})
    _release_lanes(book, ended)
    _release_dependents(book, ended)


def _first_time(move: Move) -> bool:
    """Whether no claim has been made in the job's run: it takes its place in the queue now."""
    return move.changes.get("started_at", move.job.started_at) is None


def start(
    book: Ledger, tickets: Sequence[Ticket], *, worker_id: int, paused: Collection[str], alone: bool = False
) -> tuple[list[Job], list[Ticket]]:
    """Claim the jobs of these tickets for a worker, in their order, and those tickets that were left out.

    Those are stale, doubled or paused; who is held back by a limit is not among them. ``alone``: only those without a
    scope, in a ledger of that kind.
    """
    if within := limits.in_force():
        found, held_back = admitting.claim(tickets, worker_id=worker_id, paused=paused, alone=alone, limits=within)
    else:
        found, held_back = claiming.claim(tickets, worker_id=worker_id, paused=paused, alone=alone), {}
    claimed = {job.pk: (job, first) for job, first in found}
    ids = dict.fromkeys(ticket.job_id for ticket in tickets)
    jobs = [claimed[job_id][0] for job_id in ids if job_id in claimed]
    _look_again(book, held_back)
    _tell_starts(book, [job for job, first in claimed.values() if first and job.scope_id is not None])
    return jobs, [ticket for ticket in tickets if ticket.job_id not in claimed and ticket.job_id not in held_back]


def start_next(book: Ledger, places: Sequence[claiming.Place], *, limit: int, worker_id: int) -> list[Job]:
    """Claim for a worker what is next in these places and has no scope, in a ledger for the job's own row alone."""
    if within := limits.in_force():
        found, held_back = admitting.claim_next(places, limit=limit, worker_id=worker_id, limits=within)
        jobs = [job for job, _ in found]
        _look_again(book, held_back)
    else:
        jobs = claiming.claim_next(places, limit=limit, worker_id=worker_id)
    return sorted(jobs, key=dispatch.turn)


def _look_again(book: Ledger, held_back: Mapping[int, str]) -> None:
    if names := set(held_back.values()):
        book.afterwards.append(lambda: permits.let_in_late(names))


def _tell_starts(book: Ledger, first: Sequence[Job]) -> None:
    """What the first claim of a run tells the scope, in the claim's own transaction."""
    children = [job.root_id for job in first if job.root_id is not None]
    roots = Job.objects.in_bulk(children) if children else {}
    for job in first:
        if job.root_id is None:
            book.tell(job, "request.processing", {})
            continue
        job.root = roots[job.root_id]
        if (declared := registry.find(job.type, job.version)) and declared.started_event:
            book.tell(job.root, declared.started_event, {})


def complete(book: Ledger, ends: Sequence[hot.Done], *, alone: bool = False) -> list[Job]:
    """End jobs without a parent that came to a result; those that were still held.

    ``alone``: of jobs without scope, lane and workflow, in a ledger of that kind, those whose end ends nothing else.
    """
    jobs = hot.complete(ends, alone=alone)
    deciding = [job for job in jobs if job.awaiting_approval]
    if deciding:
        Job.objects.filter(pk__in=[job.pk for job in deciding]).update(awaiting_approval=False)
        for job in deciding:
            job.awaiting_approval = False
        _withdraw_decisions(deciding)
    _give_up_permits(book, jobs, jobs)
    step_events.fail(book, [(job, "") for job in jobs])
    for job in jobs:
        _tell_end(book, job)
    _release_lanes(book, jobs)
    _release_dependents(book, jobs)
    return jobs


def _give_up_permits(book: Ledger, left: Sequence[Job], ended: Sequence[Job]) -> None:
    if freed := permits.given_up(left, ended):
        book.afterwards.append(lambda: permits.let_in(freed))  # a name is what Django tells of a hook that fails


def _withdraw_decisions(ended: Sequence[Job]) -> None:
    for job in ended if registry.has_decisions() else ():
        registry.decisions().withdraw(job)


def _check(move: Move) -> None:
    allowed = TRANSITIONS.get((Status(move.job.status), move.to), frozenset())
    if move.event not in allowed:
        raise IllegalTransition(f"{move.job} {move.job.status} → {move.to} by {move.event}")


def _write(moves: Sequence[Move]) -> None:
    """A statement for each way to change: mostly all change alike, and else few do."""
    groups: list[tuple[dict[str, Any], list[int]]] = []
    for move in moves:
        for name, value in move.changes.items():
            setattr(move.job, name, value)
        alike = next((ids for changes, ids in groups if changes == move.changes), None)
        if alike is None:
            groups.append((move.changes, alike := []))
        alike.append(move.job.pk)
    for changes, ids in groups:
        Job.objects.filter(pk__in=ids).update(**changes)


def _withdraw_waits(ended: Sequence[Job]) -> None:
    """Nobody wakes or answers what has ended. A callback of a job that ran to its end is refused when it comes."""
    if ended:
        open_ = Wait.objects.open().filter(job__in=ended)
        open_.update(state=WaitState.WITHDRAWN)


def _tell_end(book: Ledger, job: Job) -> None:
    if job.parent_id is not None:
        return
    match job.request_status:
        case RequestStatus.COMPLETED:
            book.tell(job, "request.completed", {"result": job.result})
        case RequestStatus.REJECTED:
            book.tell(job, "request.rejected", {"result": job.result})
        case RequestStatus.FAILED:
            book.tell(job, "request.failed", {"error": job.error})
        case RequestStatus.CANCELLED:
            book.tell(job, "request.cancelled", {})


def _answer_parents(book: Ledger, ended: Sequence[Job], parents: dict[int, Job]) -> None:
    """Keep what these children gave their parents, and let those run on that wait for no other child.

    A parent that was called off gets no answers: it ends once its last child has, see ``controls``.
    """
    answered: dict[int, str] = {}
    for child in ended:
        parent = parents.get(child.parent_id) if child.parent_id else None
        if parent is None or parent.status != Status.WAITING or parent.cancel_requested_at is not None:
            continue
        answered[parent.pk] = child.step
        failed = child.status != Status.COMPLETED
        error = child.error or {"code": child.status, "detail": f"the child job was {child.status}"}
        record_step(
            parent,
            name=child.step,
            kind=StepKind.CALL,
            result=None if failed else child.result,
            error=error if failed else None,
        )
    done = [(parents[pk], step) for pk, step in answered.items() if not parents[pk].children.open().exists()]
    if done:
        resume(book, done)


def cancelled(job: Job) -> Move:
    """The move of a job that was called off."""
    return Move(job, Status.CANCELLED, "job.cancelled", changes={"error": dict(CANCELLED)})


def answer(
    book: Ledger,
    job: Job,
    *,
    name: str,
    kind: StepKind,
    result: Any,
    error: dict[str, Any] | None = None,
) -> None:
    """Give a waiting job (locked here) what it waits for, and let it run on."""
    record_step(job, name=name, kind=kind, result=result, error=error)
    resume(book, [(job, name)])


def resume(book: Ledger, answered: Sequence[tuple[Job, str]]) -> None:
    """Let waiting jobs (locked here) run on, whose step of that name has just been recorded."""
    apply(book, [Move(job, Status.QUEUED, "job.resumed", {"step": name}) for job, name in answered])


def record_step(job: Job, *, name: str, kind: StepKind, result: Any, error: dict[str, Any] | None = None) -> JobStep:
    """Keep what a step gave. A failed call of an earlier attempt is written over."""
    step = JobStep(job=job, run=job.run, name=name, kind=kind, attempt=job.attempt, result=result, error=error)
    record_steps([step])
    return step


def record_steps(steps: Sequence[JobStep]) -> None:
    """Keep what the steps of many jobs gave, in one statement."""
    hot.keep(steps)
    step_events.complete_recorded(steps)


def _release_lanes(book: Ledger, ended: Sequence[Job]) -> None:
    """The next in each lane whose head just ended may run. The lanes are locked, so no one can slip in between."""
    lanes = {job.lane_id for job in ended if job.lane_id is not None and job.place is not None}
    if not lanes:
        return
    if unlocked := lanes - set(book.lanes):
        raise LedgerError(f"a job of lane #{unlocked.pop()} ends: name the lane in ledger(lanes=…)")
    runnable = hot.release(lanes, full=[queue for queue in settings.QUEUES if dispatch.full(queue)])
    book.pushes += [dispatch.push(job) for job in runnable if job.ticketed]
    dispatch.refill_later(book, (job.queue for job in runnable if not job.ticketed))


def _heads(lanes: Iterable[int]) -> dict[int, int]:
    """The ids of the jobs at the heads of these lanes, by lane."""
    line = Job.objects.open().filter(lane=OuterRef("pk"), place__isnull=False).order_by("place").values("pk")
    heads = Lane.objects.filter(pk__in=lanes).annotate(front=Subquery(line[:1])).values_list("pk", "front")
    return {lane: head for lane, head in heads if head is not None}


def _release_dependents(book: Ledger, ended: Sequence[Job]) -> None:
    """What waited for these jobs may run, or is called off with one that died."""
    if ended := [job for job in ended if job.depended_on]:
        waiting = Dependency.objects.filter(on__in=ended).its_status(Status.PENDING).order_by("job")
        release_pending(book, waiting.values_list("job", flat=True))


def release_pending(book: Ledger, ids: Iterable[int]) -> None:
    """Look again at pending jobs: call off the doomed, let those run that lead their lane and wait for nothing else.

    Those that somebody else has locked, or whose lane is not locked here, follow in a transaction of their own: to
    wait for them with other jobs locked could end in a deadlock. If it is not reached, the scheduler does it.
    """
    ids = set(ids)
    if not ids:
        return
    pending, locked_elsewhere = _pending(ids)
    lost = doomed(pending)
    if called_off := [job for job in pending if job.pk in lost and _in_reach(book, job)]:
        apply(book, [cancelled(job) for job in called_off])
        pending, _ = _pending(ids)  # their ends have let others run, or called them off
    held = waits_for_others(pending) - lost
    free = [job for job in pending if job.pk not in held]
    here = [job for job in free if _in_reach(book, job)]
    heads = _heads({job.lane_id for job in here if job.lane_id is not None})
    if ready := [job for job in here if job.lane_id is None or heads.get(job.lane_id) == job.pk]:
        apply(book, [Move(job, Status.QUEUED, "job.queued") for job in ready])
    if later := locked_elsewhere | {job.pk for job in free if not _in_reach(book, job)}:
        book.afterwards.append(lambda: _release_later(later))


def _release_later(ids: set[int]) -> None:
    lanes = Job.objects.filter(pk__in=ids, lane__isnull=False).values_list("lane", flat=True)
    with ledger(lanes=set(lanes)) as book:
        release_pending(book, lock(ids))


def _in_reach(book: Ledger, job: Job) -> bool:
    return job.lane_id is None or job.lane_id in book.lanes


def _pending(ids: set[int]) -> tuple[list[Job], set[int]]:
    """Those of these jobs that are pending, locked; and the ids of those that somebody else has locked."""
    found = lock(ids, skip_locked=True)
    return [job for job in found.values() if job.status == Status.PENDING], ids - found.keys()


def waits_for_others(jobs: Iterable[Job]) -> set[int]:
    """The ids of those of these jobs that depend on one that has not ended."""
    waiting = Dependency.objects.filter(job__in=[job.pk for job in jobs]).on_status(*OPEN)
    return set(waiting.values_list("job", flat=True))


def doomed(jobs: Iterable[Job]) -> set[int]:
    """The ids of those of these jobs that are to be called off, because one that they depend on came to no result."""
    gone = Dependency.objects.filter(if_dead=IfDead.CANCEL).on_status(*FINAL - {Status.COMPLETED})
    return set(gone.filter(job__in=[job.pk for job in jobs]).values_list("job", flat=True))


def take_places(book: Ledger, jobs: Sequence[Job]) -> int:
    """Put jobs at their one lane's tail, in their order; how many unfinished jobs are ahead of the first."""
    assert jobs[0].lane_id is not None
    lane = book.lanes[jobs[0].lane_id]
    first = lane.next_place
    for place, job in enumerate(jobs, first):
        job.place = place
    lane.next_place = first + len(jobs)
    return hot.take_places(lane.pk, first=first, following=lane.next_place)
