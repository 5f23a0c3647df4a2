"""How far handlers say they are: kept on their jobs' rows, and told in passing to those who watch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from jobs import sql, statements
from jobs.ephemeral import Ephemeral
from jobs.models import Job
from jobs.states import Status
from jobs.transport import transport

Report = tuple[Job, dict[str, Any]]
"""A job as it was claimed, and how far it says it is."""


def keep(reports: Sequence[Report]) -> set[int]:
    """Keep each whose claim still holds, or has just come to its end, and tell the scopes, in one trip. Redis may be
    away: it is only told, never needed.

    The ids of the jobs whose row somebody else holds just now: nobody is waited for, because the caller has a heart to
    keep beating.
    """
    rows = [{"id": job.pk, "token": job.token, "progress": sql.text(progress)} for job, progress in reports]
    with statements.one_statement():
        kept = {job_id for (job_id,) in statements.execute(_kept(), rows)}
    done = [report for report in reports if report[0].pk in kept]
    transport().say([told for report in done for told in _told(*report)], kept)
    left = [row for row in rows if row["id"] not in kept]
    return {job_id for (job_id,) in statements.execute(_late(), left)} if left else set()


def _told(job: Job, progress: dict[str, Any]) -> list[tuple[int, Ephemeral]]:
    if job.scope_id is None:
        return []
    asked = job.root or job
    request_id = str(asked.public_id)
    told = Ephemeral(event="progress", request_id=request_id, kind=asked.type, data=progress, deciders_only=False)
    return [(job.scope_id, told)]


_ROWS = {"id": "bigint", "token": "int"}
_THEIRS = f"{sql.listed('id, token', 'f')} AND (finished_at IS NULL OR status = '{Status.COMPLETED}')"
"""That the claim which reports still holds, or has just come to its end."""


@cache
def _kept() -> str:
    return f"""
        WITH f AS MATERIALIZED (SELECT * FROM {sql.table(**_ROWS, progress="text")}),
        k AS MATERIALIZED (
            {sql.lock("id, token, status, finished_at", "jobs_job", "f", skip=True)}
        ),
        mine AS MATERIALIZED (SELECT id FROM k WHERE {_THEIRS})
        UPDATE jobs_job SET progress = {sql.as_json("f.progress")}
        FROM f WHERE {sql.those("jobs_job", "mine", "f")} AND f.token = jobs_job.token
        RETURNING jobs_job.id"""


@cache
def _late() -> str:
    return f"""
        WITH f AS MATERIALIZED (SELECT * FROM {sql.table(**_ROWS)})
        SELECT id FROM jobs_job WHERE {sql.among("f")} AND {_THEIRS}"""
