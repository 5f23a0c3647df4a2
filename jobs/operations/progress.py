"""How far handlers say they are: kept on their jobs' rows, and told in passing to those who watch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from django.db import connection

from jobs import sql
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
    with sql.one_statement():
        kept = {job_id for (job_id,) in sql.execute(_kept(connection.vendor), rows)}
    done = [report for report in reports if report[0].pk in kept]
    transport().say([told for report in done for told in _told(*report)], kept)
    left = [row for row in rows if row["id"] not in kept]
    return {job_id for (job_id,) in sql.execute(_late(connection.vendor), left)} if left else set()


def _told(job: Job, progress: dict[str, Any]) -> list[tuple[int, Ephemeral]]:
    if job.scope_id is None:
        return []
    asked = job.root or job
    request_id = str(asked.public_id)
    told = Ephemeral(event="progress", request_id=request_id, kind=asked.type, data=progress, deciders_only=False)
    return [(job.scope_id, told)]


_ROWS = {"id": "bigint", "token": "int"}
_GOING_OR_DONE = f"(k.finished_at IS NULL OR k.status = '{Status.COMPLETED}')"


@cache
def _kept(vendor: str) -> str:
    return f"""
        WITH f AS MATERIALIZED (SELECT * FROM {sql.table(**_ROWS, progress="text")}),
        k AS MATERIALIZED (
            {sql.lock("id, token, status, finished_at", "jobs_job", "f", skip=True)}
        )
        UPDATE jobs_job SET progress = {sql.as_json("f.progress")}
        FROM k JOIN f ON f.id = k.id AND f.token = k.token
        WHERE {sql.those("jobs_job", "k")} AND {_GOING_OR_DONE}
        RETURNING jobs_job.id"""


@cache
def _late(vendor: str) -> str:
    return f"""
        WITH f AS MATERIALIZED (SELECT * FROM {sql.table(**_ROWS)})
        SELECT k.id FROM jobs_job k JOIN f ON f.id = k.id AND f.token = k.token WHERE {_GOING_OR_DONE}"""
