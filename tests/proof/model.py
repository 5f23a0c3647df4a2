"""The queue's protocol as a small pure model, and a search through every state it can reach.

Two jobs, in one lane or free, three workers, and a budget of faults, each of which may strike at any moment: a ticket
is lost or doubled, a worker is killed, a lease runs out under a worker that lives on (a pause), a commit succeeds but
its reply is lost, an attempt fails, a job is called off. One action here is one transaction there. ``GUARDS`` are the
rules that make it safe; ``explore`` leaves out those that it is told to, and then a violation must come up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

OPEN = ("pending", "queued", "running")
ATTEMPTS = 2
WORKERS = 3

GUARDS = {
    "token": "what a handler writes is bound to the token of its claim",
    "claim status": "only what is queued can be claimed",
    "end status": "only what runs can end",
    "rescue status": "a rescue looks again under the lock",
    "cancel status": "what has ended can't be called off",
    "lane release": "the transaction that ends a job lets the next in its lane go",
    "lane head": "behind an unfinished job of its lane nothing is queued",
    "front": "rescued jobs go to the front",
    "rescue": "jobs are taken back from workers whose lease ran out",
    "sweep": "lost tickets are sent again",
    "unknown claims": "a worker gives back claims it holds by the record and doesn't know of",
    "memo": "a step that was committed is not run again",
}


class Ticket(NamedTuple):
    job: int
    token: int
    rescued: bool = False


class Job(NamedTuple):
    """A row. ``owner`` is the worker's number, -1 for one that is dead; ``leased`` whether its lease still runs."""

    status: str
    token: int = 0
    attempt: int = 1
    owner: int = -1
    leased: bool = False
    called_off: bool = False
    effects: int = 0
    ends: int = 0
    releases: bool = False  # an end whose lane is still to be released: only without that guard


class Worker(NamedTuple):
    """A worker's memory, gone when it is killed: the ticket it popped, or the claim that it runs."""

    doing: str = "idle"
    job: int = -1
    token: int = 0


class State(NamedTuple):
    jobs: tuple[Job, ...]
    workers: tuple[Worker, ...]
    tickets: tuple[Ticket, ...]
    faults: int


class Violation(Exception):
    """What must not happen, did; the message says what."""


@dataclass(frozen=True)
class Explored:
    """What the search found: how many states, and the first violation with the actions that lead to it."""

    states: int
    violation: str = ""
    path: tuple[str, ...] = ()


@dataclass(frozen=True)
class Protocol:
    """The rules, less those in ``without``."""

    one_lane: bool = True
    without: frozenset[str] = frozenset()

    def guards(self, name: str) -> bool:
        assert name in GUARDS
        return name not in self.without

    def start(self, faults: int) -> State:
        behind = Job("pending" if self.one_lane and self.guards("lane head") else "queued")
        tickets = tuple(
            Ticket(number, 0) for number, job in enumerate((Job("queued"), behind)) if job.status == "queued"
        )
        return State((Job("queued"), behind), (Worker(),) * WORKERS, tickets, faults)

    # -- what the queue does -------------------------------------------------------------------------------------

    def actions(self, state: State) -> Iterator[tuple[str, State]]:
        """Every transaction and every fault that may come next."""
        for number, worker in enumerate(state.workers):
            yield from self._worker_acts(state, number, worker)
        for number, job in enumerate(state.jobs):
            yield from self._scheduler_acts(state, number, job)
        if state.faults:
            yield from self._faults(state._replace(faults=state.faults - 1))

    def _worker_acts(self, state: State, number: int, worker: Worker) -> Iterator[tuple[str, State]]:
        if worker.doing == "idle" and state.tickets:
            yield "pop", self._pop(state, number)
        elif worker.doing == "popped":
            yield from self._claim(state, number, worker)
        elif worker.doing == "runs":
            yield from self._run(state, number, worker)
        elif worker.doing == "releases":
            yield "release", _working(_released(_job(state, worker.job, releases=False), worker.job), number, Worker())
        if self.guards("unknown claims"):
            yield from self._give_back_unknown(state, number, worker)

    def _pop(self, state: State, number: int) -> State:
        ticket, *rest = state.tickets
        if not ticket.rescued and any(later.rescued for later in rest):
            raise Violation("a rescued job waits behind another")
        return _working(state._replace(tickets=tuple(rest)), number, Worker("popped", ticket.job, ticket.token))

    def _claim(self, state: State, number: int, worker: Worker) -> Iterator[tuple[str, State]]:
        job = state.jobs[worker.job]
        fits = job.token == worker.token and (job.status == "queued" or not self.guards("claim status"))
        if not fits:
            yield "stale ticket", _working(state, number, Worker())
            return
        token = job.token + 1
        claimed = _job(state, worker.job, status="running", token=token, owner=number, leased=True)
        yield "claim", _working(claimed, number, Worker("runs", worker.job, token))
        if state.faults:
            yield "claim, reply lost", _working(claimed._replace(faults=state.faults - 1), number, Worker())

    def _run(self, state: State, number: int, worker: Worker) -> Iterator[tuple[str, State]]:
        job = state.jobs[worker.job]
        mine = (job.token == worker.token or not self.guards("token")) and job.status == "running"
        if mine and not (job.effects and self.guards("memo")):
            yield "commit step", _job(state, worker.job, effects=job.effects + 1, by=worker.token)
        ends = mine or (not self.guards("end status") and job.token == worker.token)
        if not ends:
            yield "end dropped", _working(state, number, Worker())
            return
        if job.effects:
            yield from self._end(state, number, worker, "completed")
        if job.called_off:
            yield from self._end(state, number, worker, "cancelled")
        elif state.faults:
            yield from self._fail(state._replace(faults=state.faults - 1), number, worker, job)

    def _fail(self, state: State, number: int, worker: Worker, job: Job) -> Iterator[tuple[str, State]]:
        if job.attempt == ATTEMPTS:
            yield from self._end(state, number, worker, "dead")
            return
        by = worker.token
        again = _job(state, worker.job, by=by, status="queued", attempt=job.attempt + 1, owner=-1, leased=False)
        yield "retry", _working(_ticketed(again, worker.job), number, Worker())

    def _end(self, state: State, number: int, worker: Worker, status: str) -> Iterator[tuple[str, State]]:
        ended = self._ended(state, worker.job, status, worker.token)
        after = Worker("releases", worker.job) if ended.jobs[worker.job].releases else Worker()
        yield status, _working(ended, number, after)
        if state.faults:
            yield f"{status}, reply lost", ended._replace(faults=state.faults - 1)

    def _ended(self, state: State, number: int, status: str, by: int | None = None) -> State:
        job = state.jobs[number]
        apart = self.one_lane and not self.guards("lane release") and by is not None
        ended = _job(state, number, by=by, status=status, owner=-1, leased=False, ends=job.ends + 1, releases=apart)
        return ended if apart or not self.one_lane else _released(ended, number)

    def _give_back_unknown(self, state: State, number: int, worker: Worker) -> Iterator[tuple[str, State]]:
        for place, job in enumerate(state.jobs):
            known = worker.doing == "runs" and (worker.job, worker.token) == (place, job.token)
            if job.status == "running" and job.owner == number and not known:
                yield "give back", _ticketed(_taken_back(state, place), place)

    def _scheduler_acts(self, state: State, number: int, job: Job) -> Iterator[tuple[str, State]]:
        if self.guards("rescue") and job.status == "running" and not job.leased:
            yield "rescue", _ticketed(_taken_back(state, number), number, True, self.guards("front"))
        if not self.guards("rescue status") and job.status == "completed":
            yield "late rescue", _ticketed(_taken_back(state, number), number)
        if self.guards("sweep") and job.status == "queued" and not _has_ticket(state, number):
            yield "sweep", _ticketed(state, number)
        if job.status == "running" and job.owner >= 0 and not job.leased:
            yield "beat", _job(state, number, leased=True)

    def _cancel(self, state: State, number: int, job: Job) -> Iterator[tuple[str, State]]:
        if job.called_off:
            return
        if job.status in ("pending", "queued") or (job.status == "completed" and not self.guards("cancel status")):
            yield "cancel", self._ended(_job(state, number, called_off=True), number, "cancelled")
        elif job.status == "running":
            yield "cancel", _job(state, number, called_off=True)

    # -- what may go wrong ---------------------------------------------------------------------------------------

    def _faults(self, state: State) -> Iterator[tuple[str, State]]:
        for at, ticket in enumerate(state.tickets):
            yield "lose ticket", state._replace(tickets=state.tickets[:at] + state.tickets[at + 1 :])
            yield "double ticket", state._replace(tickets=(*state.tickets, ticket._replace(rescued=False)))
        for number, worker in enumerate(state.workers):
            if worker.doing != "idle" or any(job.owner == number for job in state.jobs):
                killed = _working(state, number, Worker())
                for place, job in enumerate(state.jobs):
                    if job.owner == number:
                        killed = _job(killed, place, owner=-1, leased=False)
                yield "kill", killed
        for number, job in enumerate(state.jobs):
            yield from self._cancel(state, number, job)
            if job.leased:
                yield "lease runs out", _job(state, number, leased=False)


def _working(state: State, number: int, worker: Worker) -> State:
    return state._replace(workers=(*state.workers[:number], worker, *state.workers[number + 1 :]))


def _job(state: State, number: int, *, by: int | None = None, **changes: object) -> State:
    """Change a row; ``by``: as the claim with this token, which must be the last."""
    before = state.jobs[number]
    if by is not None and by != before.token:
        raise Violation("a claim that was over wrote")
    job = before._replace(**changes)  # type: ignore[arg-type]
    changed = state._replace(jobs=(*state.jobs[:number], job, *state.jobs[number + 1 :]))
    _check(before, job, changed)
    return changed


def _check(before: Job, job: Job, state: State) -> None:
    if job.effects > 1:
        raise Violation("an effect happened twice")
    if job.ends > 1 or (before.status not in OPEN and job.status != before.status):
        raise Violation("an end was not the end")
    if job.status == "completed" and job.effects != 1:
        raise Violation("completed without its effect")


def _taken_back(state: State, number: int) -> State:
    return _job(state, number, status="queued", owner=-1, leased=False)


def _ticketed(state: State, number: int, rescued: bool = False, front: bool = False) -> State:
    ticket = Ticket(number, state.jobs[number].token, rescued)
    return state._replace(tickets=(ticket, *state.tickets) if front else (*state.tickets, ticket))


def _released(state: State, number: int) -> State:
    behind = [place for place, job in enumerate(state.jobs) if place > number and job.status == "pending"]
    ahead = any(job.status in OPEN for job in state.jobs[: number + 1])
    return _ticketed(_job(state, behind[0], status="queued"), behind[0]) if behind and not ahead else state


def _has_ticket(state: State, number: int) -> bool:
    """In the list, or popped. The real sweep can't see what is popped and doubles it: that is among the faults."""
    wanted = (number, state.jobs[number].token)
    popped = ((worker.job, worker.token) for worker in state.workers if worker.doing == "popped")
    return wanted in popped or any(ticket[:2] == wanted for ticket in state.tickets)


def _in_order(state: State) -> State:
    """Workers are alike: of states that differ only in who is who, one is enough."""
    owned = [tuple(job.owner == number for job in state.jobs) for number in range(WORKERS)]
    order = sorted(range(WORKERS), key=lambda number: (state.workers[number], owned[number]))
    rank = {number: place for place, number in enumerate(order)} | {-1: -1}
    jobs = tuple(job._replace(owner=rank[job.owner]) for job in state.jobs)
    return state._replace(workers=tuple(state.workers[number] for number in order), jobs=jobs)


# -- the search --------------------------------------------------------------------------------------------------


def explore(*, faults: int, one_lane: bool = True, without: frozenset[str] = frozenset()) -> Explored:
    """Visit every reachable state; then every one must still be able to reach the end of all jobs."""
    protocol = Protocol(one_lane, without)
    start = _in_order(protocol.start(faults))
    came_from: dict[State, tuple[State, str] | None] = {start: None}
    leads_to: dict[State, list[State]] = {}
    waiting = deque([start])
    while waiting:
        state = waiting.popleft()
        try:
            _check_lane(protocol, state)
            following = [(name, _in_order(after)) for name, after in protocol.actions(state)]
        except Violation as violation:
            return Explored(len(came_from), str(violation), _path(came_from, state))
        leads_to[state] = [after for _, after in following]
        for name, after in following:
            if after not in came_from:
                came_from[after] = (state, name)
                waiting.append(after)
    if stuck := _stuck(leads_to):
        return Explored(len(came_from), "a job can never end", _path(came_from, stuck))
    return Explored(len(came_from))


def _check_lane(protocol: Protocol, state: State) -> None:
    first, second = state.jobs
    if protocol.one_lane and first.status in OPEN and second.status == "running":
        raise Violation("a job passed another of its lane")


def _stuck(leads_to: dict[State, list[State]]) -> State | None:
    """A state from which no sequence of actions ends all jobs."""
    back: dict[State, list[State]] = {}
    for state, following in leads_to.items():
        for after in following:
            back.setdefault(after, []).append(state)
    ended = [state for state in leads_to if all(job.status not in OPEN for job in state.jobs)]
    reached, waiting = set(ended), deque(ended)
    while waiting:
        for before in back.get(waiting.popleft(), ()):
            if before not in reached:
                reached.add(before)
                waiting.append(before)
    return next((state for state in leads_to if state not in reached), None)


def _path(came_from: dict[State, tuple[State, str] | None], state: State) -> tuple[str, ...]:
    names: list[str] = []
    while (step := came_from[state]) is not None:
        state, name = step
        names.append(name)
    return tuple(reversed(names))
