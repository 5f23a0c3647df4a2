"""The transaction in which the queue's rows change, and the numbering of its events.

Lock order everywhere: lane, job (parent before child), approval, rows of upper rooms, scope. A ledger locks its
lanes first and numbers its events last, in one statement per scope, so the order of commits is the order of numbers
and a reader with a cursor can never skip one that commits late.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction
from django.db.models import Q

from jobs.events.vocabulary import NUMBERED
from jobs.models import Job, JobEvent, Lane, Scope
from jobs.states import RequestStatus
from jobs.transport import Push, transport


class LedgerError(RuntimeError):
    """The caller's transaction would break the lock order; the message says what to name."""


class Ledger:
    """What one transaction will have done: events to number, tickets to push once it has committed."""

    def __init__(self) -> None:
        self.lanes: dict[int, Lane] = {}
        self.events: list[JobEvent] = []
        self.pushes: list[Push] = []
        self._heads: dict[int, int] = {}

    def lane(self, key: str) -> Lane:
        """The locked lane of this key."""
        for lane in self.lanes.values():
            if lane.key == key:
                return lane
        raise LedgerError(f"lane {key!r} is not locked: name it in ledger(lanes=[{key!r}])")

    def note(self, job: Job, event: str, data: dict[str, Any] | None = None) -> None:
        """An event of the job's own timeline, not numbered."""
        self.events.append(JobEvent(job=job, event=event, run=job.run, token=job.token, data=data or {}))

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
        self.events.append(
            JobEvent(
                job=root,
                scope_id=root.scope_id,
                event=event,
                run=root.run,
                token=root.token,
                request=root.public_id,
                kind=root.type,
                status=status or root.request_status,
                data=data,
                private=private,
            )
        )

    def _lock_lanes(self, lanes: Iterable[str | int]) -> None:
        wanted = set(lanes)
        if not wanted:
            return
        keys = {key for key in wanted if isinstance(key, str)}
        found = Q(key__in=keys) | Q(pk__in=wanted - keys)
        self._lock(found)
        if missing := keys - {lane.key for lane in self.lanes.values()}:
            Lane.objects.bulk_create([Lane(key=key) for key in sorted(missing)], ignore_conflicts=True)
            self._lock(found)

    def _lock(self, found: Q) -> None:
        self.lanes = {lane.pk: lane for lane in Lane.objects.select_for_update().filter(found).order_by("pk")}

    def _write_events(self) -> None:
        counts: dict[int, int] = {}
        for event in self.events:
            if event.scope_id is not None:
                counts[event.scope_id] = counts.get(event.scope_id, 0) + 1
        for scope in Scope.objects.select_for_update().filter(pk__in=counts).order_by("pk") if counts else ():
            numbered = [event for event in self.events if event.scope_id == scope.pk]
            for seq, event in enumerate(numbered, scope.head + 1):
                event.seq = seq
            self._heads[scope.pk] = scope.head + len(numbered)
            Scope.objects.filter(pk=scope.pk).update(head=self._heads[scope.pk])
        JobEvent.objects.bulk_create(self.events)

    def _after_commit(self) -> None:
        if self.pushes or self._heads:
            transport().send(self.pushes, self._heads)


_state = threading.local()


def _numbered_already() -> bool:
    return any(getattr(hook[1], "__func__", None) is Ledger._after_commit for hook in connection.run_on_commit)


@contextmanager
def ledger(lanes: Iterable[str | int] = ()) -> Iterator[Ledger]:
    """Open the transaction, lock ``lanes`` (keys or ids), and number the events as the outermost ledger ends.

    Inside another ledger this one joins it; the outer must have locked the lanes. Inside a bare ``atomic`` block
    only one ledger can number events, because a second would lock lanes after scopes: ``LedgerError``.
    """
    outer: Ledger | None = getattr(_state, "ledger", None)
    if outer is not None:
        with _joined(outer, lanes):
            yield outer
        return
    if connection.in_atomic_block and _numbered_already():
        raise LedgerError("a second ledger in one transaction: open `with ledger(lanes=[…])` around both")
    with transaction.atomic():
        book = Ledger()
        book._lock_lanes(lanes)
        _state.ledger = book
        try:
            yield book
        finally:
            _state.ledger = None
        book._write_events()
        transaction.on_commit(book._after_commit)


@contextmanager
def _joined(outer: Ledger, lanes: Iterable[str | int]) -> Iterator[None]:
    for lane in lanes:
        if isinstance(lane, str):
            outer.lane(lane)
        elif lane not in outer.lanes:
            raise LedgerError(f"lane #{lane} is not locked: name it in the outer ledger(lanes=…)")
    events, pushes = len(outer.events), len(outer.pushes)
    try:
        with transaction.atomic():
            yield
    except BaseException:
        del outer.events[events:], outer.pushes[pushes:]
        raise
