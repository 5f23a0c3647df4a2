"""The claim, as a set in SQL: of the jobs that tickets name, or of those that are next.

Part of ``transitions``, by the rules of ``hot``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import cache
from json import dumps
from typing import NamedTuple

from jobs import sql, statements
from jobs.instances import instances, returned
from jobs.models import Job
from jobs.operations import hot
from jobs.states import Status
from jobs.transport import Ticket

_UNUSED = {
    "depended_on",
    "backoff",
    "result",
    "progress",
    "fingerprint",
    "unique_key",
    "keep_seconds",
    "created_at",
    "scheduled_at",
    "expires_at",
    "finished_at",
}
"""What running a job asks nothing of; who does gets it by another query."""
RUN = tuple(column for column in hot.ALL if column not in _UNUSED)


class Place(NamedTuple):
    """Where jobs wait that may run: a queue, and of its jobs those that have a ticket or those that have none."""

    queue: str
    ticketed: bool


def said(places: Iterable[Place]) -> str:
    """These places as the statements' parameter ``places``."""
    return dumps([{"n": n, **place._asdict()} for n, place in enumerate(places)])


def _places() -> str:
    return sql.table("places", n="int", queue="text", ticketed="boolean")


def with_work(places: Iterable[Place]) -> list[Place]:
    """Those of these places in which jobs wait, in their order."""
    found = statements.ask(_with_work(), places=said(places))
    return [Place(queue, bool(ticketed)) for queue, ticketed in found]


@cache
def _with_work() -> str:
    waits = _next_in_place("id", limit="1")
    return f"SELECT f.queue, f.ticketed FROM {_places()} WHERE ({waits}) IS NOT NULL ORDER BY f.n"


def _next_in_place(columns: str, *, limit: str) -> str:
    """The next jobs of a place ``f``: however many wait, those are found at the front of an index."""
    return f"""
        SELECT {columns} FROM jobs_job
        WHERE queue = f.queue AND status = '{Status.QUEUED}' AND held_back_by = '' AND ticketed = f.ticketed
        ORDER BY priority, rank, id LIMIT {limit}"""


def first(places: Iterable[Place], *, limit: int) -> list[Ticket]:
    """The next jobs of these places that nobody is claiming, locked: place by place, in the queue's order.

    In PostgreSQL no more than ``_AT_ONCE`` of a place.
    """
    found = statements.ask(_first("id, token"), places=said(places), limit=limit)
    return [Ticket(*row) for row in found]


_AT_ONCE = 1000


@cache
def _first(columns: str) -> str:
    """In PostgreSQL places are looked at, and jobs locked, one after another until there are as many as were asked for.

    It sees how many a place gives at most, and so goes by the index; and it does not see how many are asked for, or it
    would plan the statement anew for each number, in a tenth of the time that a hundred of them take.
    """
    limit = "%(limit)s"
    if sql.on_postgresql():
        here = f"{_next_in_place(columns, limit=str(_AT_ONCE))} {sql.locked(skip=True)}"
        return f"SELECT k.* FROM {_places()} CROSS JOIN LATERAL ({here}) AS k LIMIT (SELECT {limit}::bigint)"
    here = _next_in_place("id", limit=limit)
    return f"""
        SELECT {columns} FROM {_places()} JOIN jobs_job k ON k.id IN ({here})
        ORDER BY f.n, k.priority, k.rank, k.id LIMIT {limit}"""


@cache
def first_in_order() -> str:
    """A SELECT of what ``first`` finds, each with its ``n``; of the parameters ``places`` and ``limit``."""
    return f"SELECT k.*, row_number() OVER () AS n FROM ({_first('id, token')}) AS k"


def claim(
    tickets: Collection[Ticket], *, worker_id: int, paused: Collection[str], alone: bool
) -> list[tuple[Job, bool]]:
    """Start the jobs of these tickets that are queued with this token, in no order; ``True`` for a first claim.

    ``alone``: only those without a scope, of whose start nobody is told.
    """
    rows = [{"id": ticket.job_id, "token": ticket.token} for ticket in tickets]
    found = _claim().execute(rows, worker=worker_id, paused="\n".join(paused), alone=alone)
    jobs = instances(Job, RUN, found)
    return [(job, bool(row[-1])) for job, row in zip(jobs, found, strict=True)]


@cache
def _claim() -> statements.Twofold:
    change = f"""
        WITH f AS MATERIALIZED (SELECT * FROM {sql.table(id="bigint", token="int")}),
        k AS MATERIALIZED (
            {sql.lock("id, token, status, held_back_by, queue, scope_id", "jobs_job", "f", skip=True)}
        ),
        mine AS MATERIALIZED (SELECT id FROM k WHERE {sql.listed("id, token", "f")} AND {may_run()})
        {_started("mine")}"""
    return hot.and_tell(change, "'job.started'", sql.json_object(attempt="attempt"))


def claim_next(places: Iterable[Place], *, limit: int, worker_id: int) -> list[Job]:
    """Start those of the next ``limit`` jobs of these places that have no scope, in no order."""
    found = _claim_next().execute([], places=said(places), limit=limit, worker=worker_id)
    return instances(Job, RUN, found)


@cache
def _claim_next() -> statements.Twofold:
    change = f"""
        WITH k AS MATERIALIZED ({_first("id, scope_id")}),
        mine AS MATERIALIZED (SELECT id FROM k WHERE scope_id IS NULL)
        {_started("mine")}"""
    return hot.and_tell(change, "'job.started'", sql.json_object(attempt="attempt"))


def _started(source: str) -> str:
    return f"""
        UPDATE jobs_job
        SET status = '{Status.RUNNING}', ticketed = false, token = jobs_job.token + 1,
            worker_id = %(worker)s, started_at = COALESCE(jobs_job.started_at, {sql.now()})
        WHERE jobs_job.{sql.among(source)}
        RETURNING {returned(Job, RUN)}, jobs_job.started_at = {sql.now()}"""


def may_run() -> str:
    """What is asked of a job, locked as ``k``, before it is claimed."""
    return f"""k.status = '{Status.QUEUED}' AND k.held_back_by = '' AND {hot.outside("k.queue", "paused")}
            AND (NOT {sql.flag("alone")} OR k.scope_id IS NULL)"""
