"""The transaction in which the queue's rows change, and the numbering of its events.

Lock order everywhere: lane, job (parent before child), approval, rows of upper rooms, scope. A ledger locks its
lanes first and numbers its events last, in one statement per scope, so the order of commits is the order of numbers
and a reader with a cursor can never skip one that commits late.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

from django.db import connection, transaction

from jobs import sql, statements
from jobs.events.vocabulary import NUMBERED
from jobs.instances import instances
from jobs.models import Job, Lane, Scope
from jobs.states import RequestStatus
from jobs.transport import Push, transport


class LedgerError(RuntimeError):
    """The caller's transaction would break the lock order; the message says what to name."""


class Told(NamedTuple):
    """An event on its way to its table; ids of rows, the request's as hexadecimal digits."""

    job: int
    event: str
    run: int
    token: int
    data: dict[str, Any] | None
    private: dict[str, Any] | None = None
    scope: int | None = None
    request: str | None = None
    kind: str = ""
    status: str = ""


_LANE = ("id", "key", "next_place")


@cache
def _lanes_locked() -> str:
    return f"""
        WITH f AS MATERIALIZED (SELECT * FROM {sql.table(id="bigint", key="text")}),
        named AS MATERIALIZED (SELECT id FROM jobs_lane WHERE {sql.among("f", "key")}),
        k AS MATERIALIZED (SELECT id FROM f UNION SELECT id FROM named)
        {sql.lock(", ".join(_LANE), "jobs_lane", "k")}"""


@cache
def _write() -> statements.Twofold:
    """Raise the heads of these events' scopes, locked in the order of their ids, and number the events from them."""
    columns = {
        "n": "int",
        "later": "int",
        "job": "bigint",
        "scope": "bigint",
        "event": "text",
        "run": "int",
        "token": "int",
        "request": "uuid",
        "kind": "text",
        "status": "text",
        "data": "text",
        "private": "text",
    }
    change = f"""
        WITH f AS MATERIALIZED (
            SELECT scope AS id, count(*) AS n FROM {sql.table(scope="bigint")} WHERE scope IS NOT NULL GROUP BY scope
        ),
        k AS MATERIALIZED ({sql.lock("id", "jobs_scope", "f")})
        UPDATE jobs_scope SET head = head + f.n FROM f WHERE {sql.those("jobs_scope", "k", "f")}
        RETURNING jobs_scope.id, jobs_scope.head"""
    insert = f"""
        INSERT INTO jobs_jobevent
            (job_id, scope_id, seq, event, run, token, request, kind, status, data, private)
        SELECT
            job, scope, raised.head - later, event, run, token, request, kind, status,
            {sql.as_json("data")}, {sql.as_json("private")}
        FROM {sql.table(**columns)} LEFT JOIN {{changed}} AS raised ON raised.id = scope ORDER BY n"""
    return statements.Twofold(change, "jobs_scope", insert)


def _rows(events: Sequence[Told]) -> list[dict[str, Any]]:
    """In their order, each with how many of its scope come ``later``."""
    later: Counter[int | None] = Counter(event.scope for event in events)
    rows = []
    for n, event in enumerate(events):
        later[event.scope] -= 1
        rows.append(
            {
                "n": n,
                "later": later[event.scope],
                "job": event.job,
                "scope": event.scope,
                "event": event.event,
                "run": event.run,
                "token": event.token,
                "request": event.request,
                "kind": event.kind,
                "status": event.status,
                "data": sql.text(event.data),
                "private": sql.text(event.private),
            }
        )
    return rows


class Ledger:
    """What one transaction will have done: events to number; once it has committed, tickets to push and what is next.

    ``afterwards`` are acts with transactions of their own, which may fail without harm.
    """

    def __init__(self) -> None:
        self.lanes: dict[int, Lane] = {}
        self.events: list[Told] = []
        self.pushes: list[Push] = []
        self.afterwards: list[Callable[[], object]] = []
        self.heads: dict[int, int] = {}

    def lane(self, key: str) -> Lane:
        """The locked lane of this key."""
        for lane in self.lanes.values():
            if lane.key == key:
                return lane
        raise LedgerError(f"lane {key!r} is not locked: name it in ledger(lanes=[{key!r}])")

    def note(self, job: Job, event: str, data: dict[str, Any] | None = None) -> None:
        """An event of the job's own timeline, not numbered."""
        self.events.append(Told(job.pk, event, job.run, job.token, data or {}))

    def tell(
        self,
        root: Job,
        event: str,
        data: dict[str, Any] | None,
        *,
        private: dict[str, Any] | None = None,
        status: RequestStatus | None = None,
    ) -> None:
        """A numbered event of the root's scope; jobs without a scope have no stream, and it is left out.

        ``LookupError`` for an event that the vocabulary does not have.
        """
        if event not in NUMBERED:
            raise LookupError(f"no such event: {event!r}; jobs/events/vocabulary.py has them all")
        if root.scope_id is None:
            return
        told = Told(root.pk, event, root.run, root.token, data, private)
        request, standing = root.public_id.hex, status or root.request_status
        self.events.append(told._replace(scope=root.scope_id, request=request, kind=root.type, status=standing))

    def _lock_lanes(self, lanes: Iterable[str | int]) -> None:
        wanted = set(lanes)
        if not wanted:
            return
        self._lock(wanted)
        keys = {key for key in wanted if isinstance(key, str)}
        if missing := keys - {lane.key for lane in self.lanes.values()}:
            Lane.objects.bulk_create([Lane(key=key) for key in sorted(missing)], ignore_conflicts=True)
            self._lock(wanted)

    def _lock(self, wanted: Iterable[str | int]) -> None:
        rows = [{"key" if isinstance(lane, str) else "id": lane} for lane in wanted]
        found = statements.execute(_lanes_locked(), rows)
        self.lanes = {lane.pk: lane for lane in instances(Lane, _LANE, found)}

    def _write_events(self) -> None:
        scopes = {event.scope for event in self.events if event.scope is not None}
        if len(self.events) > statements.INSERT_ROWS:  # several statements, which together lock in the order of ids
            list(Scope.objects.select_for_update(no_key=True).filter(pk__in=scopes).order_by("pk").values_list("pk"))
        for index in range(0, len(self.events), statements.INSERT_ROWS):
            rows = _rows(self.events[index : index + statements.INSERT_ROWS])
            self.heads |= dict(_write().execute(rows))

    def _after_commit(self) -> None:
        if self.pushes or self.heads:
            transport().send(self.pushes, self.heads)


_state = threading.local()


def _numbered_already() -> bool:
    return any(getattr(hook[1], "__func__", None) is Ledger._after_commit for hook in connection.run_on_commit)


@contextmanager
def ledger(lanes: Iterable[str | int] = (), *, also: Iterable[int] = (), alone: bool = False) -> Iterator[Ledger]:
    """Open the transaction, lock ``lanes`` (keys or ids), and number the events as the outermost ledger ends.

    Inside another ledger this one joins it; the outer must have locked the lanes. Inside a bare ``atomic`` block
    only one ledger can number events, because a second would lock lanes after scopes: ``LedgerError``.

    ``also``: lanes, by id, that are better locked too, if this is the outermost; those that joined it do without.

    ``alone``: the block locks nothing, numbers nothing and writes by one of the statements in ``hot``. Where that is
    one statement it is its own transaction, which saves two trips to the database.
    """
    outer: Ledger | None = getattr(_state, "ledger", None)
    if outer is not None:
        with _joined(outer, lanes):
            yield outer
        return
    if connection.in_atomic_block and _numbered_already():
        raise LedgerError("a second ledger in one transaction: open `with ledger(lanes=[…])` around both")
    book = Ledger()
    with statements.one_statement() if alone else transaction.atomic():
        book._lock_lanes((*lanes, *also))
        _state.ledger = book
        try:
            yield book
        finally:
            _state.ledger = None
        book._write_events()
        transaction.on_commit(book._after_commit)
        for act in book.afterwards:
            transaction.on_commit(act, robust=True)


@contextmanager
def _joined(outer: Ledger, lanes: Iterable[str | int]) -> Iterator[None]:
    for lane in lanes:
        if isinstance(lane, str):
            outer.lane(lane)
        elif lane not in outer.lanes:
            raise LedgerError(f"lane #{lane} is not locked: name it in the outer ledger(lanes=…)")
    events, pushes, afterwards = len(outer.events), len(outer.pushes), len(outer.afterwards)
    try:
        with transaction.atomic():
            yield
    except BaseException:
        del outer.events[events:], outer.pushes[pushes:], outer.afterwards[afterwards:]
        raise
