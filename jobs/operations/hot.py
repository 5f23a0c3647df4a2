"""What every job goes through, as sets in SQL: its birth, its lane, its steps, its plain end; not its claim.

Part of ``transitions``, by its rules: compare-and-set on status and token, with the event of the job's timeline. What
is not plain (failures, waits, cancelling, children) goes by ``transitions.apply``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

from django.db import connection, models

from jobs import sql, statements
from jobs.instances import converter, instances, returned
from jobs.models import Job, Scope
from jobs.models_dependencies import IfDead
from jobs.models_steps import JobStep
from jobs.operations import fairness
from jobs.states import BIRTHS, OPEN, Status


class Done(NamedTuple):
    """A job's plain end: the claim, and what came of it. ``result`` is a JSON value."""

    job_id: int
    token: int
    outcome: str
    result: Any


ALL = tuple(str(field.column) for field in Job._meta.concrete_fields)
_TOLD = {
    "id",
    "public_id",
    "type",
    "version",
    "queue",
    "status",
    "outcome",
    "run",
    "token",
    "started_at",
    "awaiting_approval",
    "depended_on",
    "concurrency_key",
    "scope_id",
    "lane_id",
    "place",
    "parent_id",
    "root_id",
    "error",
    "ticketed",
}
_TELLING = tuple(column for column in ALL if column in _TOLD)
"""What the events and consequences of an end are made of."""


def and_tell(change: str, event: str, data: str, *, of: str = "true") -> statements.Twofold:
    """A change of jobs that tells the timeline of each, or ``of`` some; ``event``, ``data`` and ``of`` are SQL."""
    insert = f"""
        INSERT INTO jobs_jobevent (job_id, event, run, token, kind, status, data)
        SELECT id, {event}, run, token, '', '', {data} FROM {{changed}} AS changed WHERE {of}"""
    return statements.Twofold(change, "jobs_job", insert)


def outside(column: str, parameter: str) -> str:
    """That a name is not in a list of names parted by newlines, which no name has."""
    if sql.on_postgresql():
        return f"NOT {column} = ANY(string_to_array(%({parameter})s, E'\\n'))"
    return f"instr(char(10) || %({parameter})s || char(10), char(10) || {column} || char(10)) = 0"


# -- birth -------------------------------------------------------------------------------------------------------

_SCOPE = ("id", "key", "head")
_SCOPE_OF = f"SELECT {', '.join(_SCOPE)} FROM jobs_scope WHERE key = %(key)s"


def scope(key: str) -> Scope | None:
    """The scope of this key, if there has been one."""
    found: list[Scope] = instances(Scope, _SCOPE, statements.ask(_SCOPE_OF, key=key))
    return found[0] if found else None


_OWN = {
    "public_id": "uuid",
    "status": "text",
    "place": "bigint",
    "step": "text",
    "payload": "text",
}
"""The columns in which jobs that are born together differ, with PostgreSQL types."""
_STANDING = ("rank", "ticketed")
"""What the statement finds out for each of them."""
_LATER = {
    "outcome": "''",
    "held_back_by": "''",
    "run": "1",
    "token": "0",
    "attempt": "1",
    "strikes": "0",
    "lease_losses": "0",
    "worker_id": "NULL",
    "fingerprint": "''",
    "awaiting_approval": "false",
    "depended_on": "false",
    "result": "NULL",
    "error": "NULL",
    "progress": "NULL",
    "cancel_requested_at": "NULL",
    "started_at": "NULL",
    "finished_at": "NULL",
}
"""What only becomes of a job once it is there, and as what it begins."""


def insert(jobs: Sequence[Job], *, room: int) -> bool:
    """Write new jobs of one type, queue and flow that differ in status, payload, place and step only, in their order.

    Sets their ids and ranks, and marks as ``ticketed`` the first ``room`` of the queued, or none if others wait for a
    ticket. Whether the first of them leads: it comes before all that have tickets, and has one in any case. Each
    one's timeline begins with how it was born.
    """
    leads = [
        _insert_some(jobs[index : index + statements.INSERT_ROWS], max(room - index, 0))
        for index in range(0, len(jobs), statements.INSERT_ROWS)
    ]
    return leads[0]


def _insert_some(jobs: Sequence[Job], room: int) -> bool:
    rows = [
        {
            "n": n,
            "public_id": job.public_id.hex,
            "status": job.status,
            "place": job.place,
            "step": job.step,
            "payload": sql.text(job.payload),
        }
        for n, job in enumerate(jobs)
    ]
    shared = dict(_shared(jobs[0]))
    written = _insert().execute(rows, **shared, room=room)
    by_public_id = {_hex(row[1]): row for row in written}
    convert = converter(Job._meta.get_field("created_at")) or (lambda value: value)
    alias = connection.alias
    for job in jobs:
        job.pk, _, created, queued, job.rank, ticketed, *_ = by_public_id[job.public_id.hex]
        job.created_at, job.queued_at, job.ticketed = convert(created), convert(queued), bool(ticketed)
        job._state.adding, job._state.db = False, alias
    return bool(written[0][-1])


def _hex(value: Any) -> str:
    return str(value).replace("-", "")


@cache
def _shared_fields() -> tuple[models.Field[Any, Any], ...]:
    """What jobs that are born together have in common. Times are the database's own."""
    own = {*_OWN, *_STANDING, *_LATER, "id", "created_at", "queued_at"}
    return tuple(field for field in Job._meta.concrete_fields if field.column not in own)


def _shared(job: Job) -> Iterator[tuple[str, Any]]:
    """By column, as the database is given it: mostly as it is, which to ask of the field costs ten times as much."""
    for field in _shared_fields():
        value = getattr(job, field.attname)
        plain = value is None or type(value) in (str, int)
        yield str(field.column), value if plain else field.get_db_prep_save(value, connection)


@cache
def _insert() -> statements.Twofold:
    shared = _shared_fields()
    values = [_cast(field) for field in shared]
    own = [sql.as_json(name) if name == "payload" else name for name in _OWN]
    ticketed = f"f.status = '{Status.QUEUED}' AND (n < %(room)s AND NOT behind OR n = 0 AND leads)"
    births = " ".join(f"WHEN '{status}' THEN '{event}'" for status, event in BIRTHS.items())
    back = ("id", "public_id", "created_at", "queued_at", *_STANDING, "run", "token", "status")
    change = f"""
        WITH stands AS MATERIALIZED ({fairness.standing()})
        INSERT INTO jobs_job ({", ".join([*(str(field.column) for field in shared), *_LATER, *_OWN, *_STANDING])})
        SELECT {", ".join([*values, *_LATER.values(), *own])}, rank + n, {ticketed}
        FROM {sql.table(n="int", **_OWN)} CROSS JOIN stands WHERE true
        RETURNING {returned(Job, back)}, (SELECT leads FROM stands)"""
    return and_tell(change, f"CASE status {births} END", "'{}'")


def _cast(field: models.Field[Any, Any]) -> str:
    """A parameter of the field's type: PostgreSQL takes a bare one in a SELECT for text."""
    if not sql.on_postgresql():
        return f"%({field.column})s"
    type_ = (field.db_type(connection) or "text").partition("(")[0]
    return f"%({field.column})s::{type_}"


def line_up(jobs: Iterable[Job]) -> None:
    """Rank these locked jobs as if they were new, in their order."""
    by_id = {job.pk: job for job in jobs}
    columns = ("queue", "priority", "fair_key")
    rows = [{"id": pk, "n": n, **{c: getattr(job, c) for c in columns}} for n, (pk, job) in enumerate(by_id.items())]
    if rows:
        for pk, rank in statements.execute(_line_up(), rows):
            by_id[pk].rank = rank


@cache
def _line_up() -> str:
    return f"""
        WITH f AS MATERIALIZED (
            SELECT * FROM {sql.table(id="bigint", n="int", queue="text", priority="int", fair_key="text")}
        ),
        r AS MATERIALIZED ({fairness.ranks("f")})
        UPDATE jobs_job SET rank = r.rank FROM r WHERE {sql.those("jobs_job", "f", "r")}
        RETURNING jobs_job.id, jobs_job.rank"""


def fall_in(jobs: Sequence[Job]) -> None:
    """Rank these locked jobs, which have begun in another priority, by the virtual time, which so stays what it is."""
    times: dict[tuple[str, int], int] = {}
    for job in jobs:
        line = (job.queue, job.priority)
        if line not in times:
            ((times[line],),) = statements.ask(_VIRTUAL_TIME, queue=job.queue, priority=job.priority)
        job.rank = times[line]
    Job.objects.bulk_update(jobs, ["rank"])


_VIRTUAL_TIME = fairness.virtual_time(queue="%(queue)s", priority="%(priority)s")


# -- lanes -------------------------------------------------------------------------------------------------------

_OPEN = ", ".join(f"'{status}'" for status in sorted(OPEN))
_TAKE_PLACES = f"""
    UPDATE jobs_lane SET next_place = %(following)s WHERE id = %(lane)s
    RETURNING (
        SELECT count(*) FROM jobs_job WHERE lane_id = %(lane)s AND place < %(first)s AND status IN ({_OPEN})
    )"""


def take_places(lane: int, *, first: int, following: int) -> int:
    """Take the places from ``first`` to before ``following`` in a locked lane; how many open jobs are before them."""
    ((ahead,),) = statements.ask(_TAKE_PLACES, lane=lane, first=first, following=following)
    return int(ahead)


def release(lanes: Collection[int], *, full: Collection[str]) -> list[Job]:
    """Queue the heads of these locked lanes that are pending, depend on nothing that is open, and are not doomed.

    They are ``ticketed`` unless their queue is one of the ``full``, or older jobs of it wait for a ticket.
    """
    rows = [{"id": lane} for lane in lanes]
    return instances(Job, _TELLING, _release().execute(rows, full="\n".join(full)))


@cache
def _release() -> statements.Twofold:
    change = f"""
        WITH f AS MATERIALIZED (SELECT * FROM {sql.table(id="bigint")}),
        h AS MATERIALIZED (
            SELECT (
                SELECT id FROM jobs_job WHERE lane_id = f.id AND status IN ({_OPEN}) AND place IS NOT NULL
                ORDER BY place LIMIT 1
            ) AS id FROM f
        ),
        k AS MATERIALIZED (
            {sql.lock("id, status, queue, fair_key, priority, started_at", "jobs_job", "h")}
        ),
        n AS MATERIALIZED (
            SELECT *, id AS n FROM k WHERE status = '{Status.PENDING}' AND (
                SELECT count(*) FROM (
                    SELECT d.if_dead, (SELECT status FROM jobs_job WHERE id = d.on_id) AS others
                    FROM jobs_dependency d WHERE d.job_id = k.id
                ) AS needed
                WHERE others <> '{Status.COMPLETED}' AND (if_dead = '{IfDead.CANCEL}' OR others IN ({_OPEN}))
            ) = 0
        ),
        fresh AS MATERIALIZED (SELECT * FROM n WHERE started_at IS NULL),
        r AS MATERIALIZED (
            {fairness.ranks("fresh")} UNION ALL SELECT id, NULL AS rank FROM n WHERE started_at IS NOT NULL
        ),
        v AS MATERIALIZED ({sql.beside("h", "r", "r.rank")}),
        lines AS MATERIALIZED (
            SELECT queue, ({fairness.behind("q.queue")}) AS behind FROM (SELECT DISTINCT queue FROM n) AS q
        )
        UPDATE jobs_job
        SET status = '{Status.QUEUED}', queued_at = {sql.now()}, rank = COALESCE(v.rank, jobs_job.rank),
            ticketed = {outside("jobs_job.queue", "full")}
                AND NOT (SELECT behind FROM lines WHERE lines.queue = jobs_job.queue)
        FROM v WHERE {sql.those("jobs_job", "r", "v")}
        RETURNING {returned(Job, _TELLING)}"""
    return and_tell(change, "'job.queued'", "'{}'")


# -- under way ---------------------------------------------------------------------------------------------------


def locked(ids: Collection[int], *, skip: bool) -> list[Job]:
    """The jobs of these ids, whole and locked, by id; ``skip`` those that somebody else has locked."""
    return instances(Job, ALL, statements.execute(_locked(skip), [{"id": pk} for pk in ids]))


@cache
def _locked(skip: bool) -> str:
    return f"""
        WITH f AS MATERIALIZED (SELECT * FROM {sql.table(id="bigint")})
        {sql.lock(returned(Job, ALL), "jobs_job", "f", skip=skip)}"""


_STEP = {
    "job_id": "bigint",
    "run": "int",
    "name": "text",
    "kind": "text",
    "attempt": "int",
    "result": "text",
    "error": "text",
}


def keep(steps: Sequence[JobStep]) -> None:
    """Write finished steps, over those that earlier attempts left under the same names."""
    rows = [{column: getattr(step, column) for column in _STEP} for step in steps]
    texts = [{"result": sql.text(step.result), "error": sql.text(step.error)} for step in steps]
    statements.execute(_keep(), [row | text for row, text in zip(rows, texts, strict=True)])


@cache
def _keep() -> str:
    values = [sql.as_json(column) if column in ("result", "error") else column for column in _STEP]
    over = ", ".join(f"{column} = EXCLUDED.{column}" for column in ("kind", "attempt", "result", "error"))
    return f"""
        INSERT INTO jobs_jobstep ({", ".join(_STEP)})
        SELECT {", ".join(values)} FROM {sql.table(**_STEP)} WHERE true
        ON CONFLICT (job_id, run, name) DO UPDATE SET {over}"""


# -- plain end ---------------------------------------------------------------------------------------------------


def complete(ends: Collection[Done], *, alone: bool) -> list[Job]:
    """Complete the jobs that still run with these tokens.

    What an open decision needs, and who depends on them, is left to the caller, who is told by ``awaiting_approval``
    and ``depended_on``. ``alone``: only those that are neither. Columns tell of what was changed while the statement
    waited for a row; a look into other tables would not.
    """
    rows = [
        {"id": end.job_id, "token": end.token, "outcome": end.outcome, "result": sql.text(end.result)} for end in ends
    ]
    jobs: list[Job] = instances(Job, _TELLING, _complete().execute(rows, alone=alone))
    results = {end.job_id: end.result for end in ends}
    for job in jobs:
        job.result = results[job.pk]
    return jobs


@cache
def _complete() -> statements.Twofold:
    columns = {"id": "bigint", "token": "int", "outcome": "text", "result": "text"}
    change = f"""
        WITH f AS MATERIALIZED (SELECT * FROM {sql.table(**columns)}),
        k AS MATERIALIZED ({sql.lock("id, token, status, awaiting_approval, depended_on", "jobs_job", "f")}),
        mine AS MATERIALIZED (
            SELECT id FROM k WHERE {sql.listed("id, token", "f")} AND status = '{Status.RUNNING}'
                AND (NOT {sql.flag("alone")} OR NOT (awaiting_approval OR depended_on))
        )
        UPDATE jobs_job
        SET status = '{Status.COMPLETED}', worker_id = NULL, ticketed = false, finished_at = {sql.now()},
            outcome = f.outcome, result = {sql.as_json("f.result")}, error = NULL
        FROM f WHERE {sql.those("jobs_job", "mine", "f")} AND f.token = jobs_job.token
        RETURNING {returned(Job, _TELLING)}"""
    return and_tell(change, "'job.completed'", "'{}'")
