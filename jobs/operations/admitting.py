"""The claim under limits, as a set in SQL: who finds a permit starts, who can't have one is held back.

Two statements in one trip. The first locks the limits that these jobs need, so whoever else counts waits; the second,
which so sees all that was claimed before, counts who holds permits and changes the jobs. Where all that ask have room
they are only counted; where they haven't, the first of them get the permits that are left. What is next without a
ticket is found by one more statement before the two, in the same trip.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import cache
from json import dumps
from typing import Any, NamedTuple

from jobs import sql, statements
from jobs.instances import instances, returned
from jobs.limits import QUEUE
from jobs.models import Job
from jobs.operations import claiming, hot
from jobs.states import OPEN, Status
from jobs.transport import Ticket

Limits = Mapping[str, int | None]
"""How many jobs each limit allows, by its name; ``None`` when it is no more."""


class Admitted(NamedTuple):
    """What came of tickets: claimed jobs (``True`` for a first claim), in no order, and the ids of those held back.

    These with the name of the limit that holds each of them back.
    """

    claimed: list[tuple[Job, bool]]
    held_back: dict[int, str]


def claim(
    tickets: Collection[Ticket], *, worker_id: int, paused: Collection[str], alone: bool, limits: Limits
) -> Admitted:
    """``claiming.claim`` within these limits; each takes the tickets in their order."""
    given = _given(worker_id=worker_id, paused=paused, alone=alone, limits=limits)
    admitted, left, again = Admitted([], {}), list(dict.fromkeys(tickets)), True
    while left and again:
        claimed, held_back = _claim_some(left, given)
        admitted.claimed.extend(claimed)
        admitted.held_back.update(held_back)
        known = held_back.keys() | {job.pk for job, _ in claimed}
        left = [ticket for ticket in left if ticket.job_id not in known]
        again = bool(held_back)  # with these out of the way there may be room under their other limits
    return admitted


def claim_next(places: Sequence[claiming.Place], *, limit: int, worker_id: int, limits: Limits) -> Admitted:
    """``claiming.claim_next`` within these limits: those before the first that has a scope.

    In PostgreSQL they are found in the same trip: limits that were held meanwhile would keep everybody waiting.
    """
    given = _given(worker_id=worker_id, paused=(), alone=True, limits=limits)
    if sql.on_postgresql():
        given |= {"places": claiming.said(places), "limit": limit}
        found = claiming.first_in_order()
        return _admitted(_claim().execute_over(found, **given))
    return _claim_some(claiming.first(places, limit=limit), given)


def _given(*, worker_id: int, paused: Collection[str], alone: bool, limits: Limits) -> dict[str, Any]:
    return {"limits": _said(limits), "worker": worker_id, "paused": "\n".join(paused), "alone": alone}


def _claim_some(tickets: Sequence[Ticket], given: Mapping[str, Any]) -> Admitted:
    rows = [{"id": ticket.job_id, "token": ticket.token, "n": n} for n, ticket in enumerate(tickets)]
    return _admitted(_claim().execute(rows, **given))


def _admitted(found: Sequence[tuple[Any, ...]]) -> Admitted:
    jobs = instances(Job, claiming.RUN, found)
    claimed = [(job, bool(row[-1])) for job, row in zip(jobs, found, strict=True) if not job.held_back_by]
    return Admitted(claimed, {job.pk: job.held_back_by for job in jobs if job.held_back_by})


def lock(limits: Limits) -> None:
    """Lock the rows of these limits, noting by which is admitted from now on where they were others before."""
    statements.ask(_lock(), limits=_said(limits))


def held(names: Collection[str]) -> Counter[str]:
    """How many jobs hold permits of each of these limits."""
    found = statements.ask(_held(), limits=_said(dict.fromkeys(names)))
    return Counter({name: int(taken) for name, taken in found})


def _said(limits: Limits) -> str:
    """A queue's limit is named before those of a key, and a path before the longer ones."""
    names = sorted(limits, key=lambda name: (not name.startswith(QUEUE), name))
    return dumps([{"name": name, "most": limits[name], "n": n} for n, name in enumerate(names)])


# -- the statements ----------------------------------------------------------------------------------------------

_NEEDS = f"(l.name = '{QUEUE}' || p.queue OR substr(p.key || '/', 1, length(l.name) + 1) = l.name || '/')"
"""That jobs of a kind, ``p``, need a permit of a limit, ``l``: it is their queue's, or a part of their key's path."""

_HOLDS_QUEUES = f"status = '{Status.RUNNING}' AND queue = substr(l.name, {len(QUEUE) + 1})"

_HOLDS_KEYS = f"started_at IS NOT NULL AND NOT (concurrency_key = '') AND status {sql.one_of(OPEN)}"
"""Through its waits and retries; in the words of the index that has them: for others SQLite would read all jobs."""


def _taken(most: str = "") -> str:
    """How many jobs hold a permit of a limit, ``l``; or ``most``, where there are more of its own key or beneath it."""
    limit = f"LIMIT {most}" if most and sql.on_postgresql() else ""

    def counted(condition: str) -> str:
        return f"(SELECT count(*) FROM (SELECT 1 FROM jobs_job WHERE {condition} {limit}) AS held)"

    of_key = counted(f"{_HOLDS_KEYS} AND concurrency_key = l.name")
    beneath = counted(f"{_HOLDS_KEYS} AND {sql.beneath('concurrency_key', 'l.name')}")
    is_queue = f"substr(l.name, 1, {len(QUEUE)}) = '{QUEUE}'"
    return f"CASE WHEN {is_queue} THEN {counted(_HOLDS_QUEUES)} ELSE {of_key} + {beneath} END"


def _limits() -> str:
    return f"(SELECT * FROM {sql.table('limits', name='text', most='int', n='int')})"


@cache
def _held() -> str:
    return f"""
        SELECT l.name, {_taken()} FROM {_limits()} AS l"""


@cache
def _lock(of: str = "true") -> str:
    """Rows that are missing are made. A conflict locks the row, also where there is nothing to update."""
    differs = "IS DISTINCT FROM" if sql.on_postgresql() else "IS NOT"
    return f"""
        INSERT INTO jobs_limit (key, enforced, enforced_since)
        SELECT l.name, l.most, {sql.now()} FROM {_limits()} AS l WHERE {of} ORDER BY l.name
        ON CONFLICT (key) DO UPDATE SET enforced = excluded.enforced, enforced_since = excluded.enforced_since
        WHERE jobs_limit.enforced {differs} excluded.enforced"""


def _lock_needed() -> str:
    """Whatever has become of the jobs: what they need never changes, but what state they are in may."""
    kinds = f"""
        SELECT DISTINCT queue, concurrency_key AS key FROM jobs_job
        WHERE {sql.among(sql.table(id="bigint"))}"""
    return _lock(f"EXISTS (SELECT 1 FROM ({kinds}) AS p WHERE {_NEEDS})")


_ASKED = "id, token, status, held_back_by, queue, scope_id, concurrency_key, started_at"


@cache
def _claim() -> statements.Twofold:
    """Jobs of a kind need the same permits. Where a limit has not room for all, they are ranked in the tickets' order.

    Who fits under each of its limits starts; who doesn't is held back by the first of them that has no room left. If
    none has, some before it in the ranks were held back by another: it is left as it is. Where no limit is ``short``
    of room, nothing of that is looked at. ``alone``: only those before the first that has a scope ask, else those
    behind it would take its permits time and again.
    """
    change = f"""
        WITH f AS MATERIALIZED (SELECT * FROM {sql.table(id="bigint", token="int", n="int")}),
        l AS MATERIALIZED {_limits()},
        k AS MATERIALIZED (
            {sql.lock(_ASKED, "jobs_job", "f", skip=True)}
        ),
        passed_over AS MATERIALIZED (
            SELECT min(f.n) AS n FROM k JOIN f ON f.id = k.id
            WHERE k.scope_id IS NOT NULL AND k.status = '{Status.QUEUED}'
        ),
        asking AS MATERIALIZED (
            SELECT k.id, f.n, k.queue, CASE WHEN k.started_at IS NULL THEN k.concurrency_key ELSE '' END AS key
            FROM k JOIN f ON f.id = k.id AND f.token = k.token WHERE {claiming.may_run()}
                AND (NOT {sql.flag("alone")} OR COALESCE(f.n < (SELECT n FROM passed_over), true))
        ),
        kinds AS MATERIALIZED (SELECT queue, key, count(*) AS many FROM asking GROUP BY queue, key),
        needs AS MATERIALIZED (SELECT p.queue, p.key, p.many, l.name, l.n FROM kinds AS p JOIN l ON {_NEEDS}),
        room AS MATERIALIZED (
            SELECT l.name, l.most - {_taken("l.most")} AS free,
                (SELECT sum(many) FROM needs WHERE needs.name = l.name) AS asked
            FROM l WHERE l.name IN (SELECT name FROM needs)
        ),
        shut AS MATERIALIZED (SELECT queue, key FROM needs JOIN room ON room.name = needs.name WHERE room.free <= 0),
        short AS MATERIALIZED (SELECT name, free FROM room WHERE asked > free),
        hoping AS MATERIALIZED (
            SELECT * FROM asking
            WHERE EXISTS (SELECT 1 FROM short) AND (queue, key) NOT IN (SELECT queue, key FROM shut)
        ),
        ranked AS MATERIALIZED (
            SELECT h.id, short.free, row_number() OVER (PARTITION BY short.name ORDER BY h.n) AS rank
            FROM short JOIN needs ON needs.name = short.name
            JOIN hoping h ON h.queue = needs.queue AND h.key = needs.key
        ),
        fitting AS MATERIALIZED (SELECT * FROM hoping WHERE id NOT IN (SELECT id FROM ranked WHERE rank > free)),
        used_up AS MATERIALIZED (
            SELECT name FROM short WHERE free <= (
                SELECT count(*) FROM fitting a JOIN needs ON needs.queue = a.queue AND needs.key = a.key
                WHERE needs.name = short.name
            )
        ),
        told AS MATERIALIZED (
            SELECT id, '' AS stop FROM asking WHERE NOT EXISTS (SELECT 1 FROM short)
            UNION ALL
            SELECT id, '' AS stop FROM fitting
            UNION ALL
            SELECT id, (
                SELECT needs.name FROM needs JOIN used_up ON used_up.name = needs.name
                WHERE needs.queue = asking.queue AND needs.key = asking.key ORDER BY needs.n LIMIT 1
            ) FROM asking WHERE EXISTS (SELECT 1 FROM short) AND id NOT IN (SELECT id FROM fitting)
        ),
        v AS MATERIALIZED ({sql.beside("f", "told", "told.stop")})
        UPDATE jobs_job
        SET status = CASE v.stop WHEN '' THEN '{Status.RUNNING}' ELSE '{Status.QUEUED}' END,
            held_back_by = v.stop, ticketed = false,
            token = jobs_job.token + CASE v.stop WHEN '' THEN 1 ELSE 0 END,
            worker_id = CASE v.stop WHEN '' THEN {_integer("worker")} END,
            started_at = COALESCE(jobs_job.started_at, CASE v.stop WHEN '' THEN {sql.now()} END)
        FROM v WHERE {sql.those("jobs_job", "told", "v")} AND v.stop IS NOT NULL
        RETURNING {returned(Job, claiming.RUN)}, jobs_job.started_at = {sql.now()}"""
    started = f"status = '{Status.RUNNING}'"
    both = hot.and_tell(change, "'job.started'", sql.json_object(attempt="attempt"), of=started)
    return replace(both, before=_lock_needed())


def _integer(parameter: str) -> str:
    return f"%({parameter})s::bigint" if sql.on_postgresql() else f"%({parameter})s"
