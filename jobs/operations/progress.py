"""How far handlers say they are: kept on their jobs' rows, and told in passing to those who watch."""

from __future__ import annotations

from functools import cache
from typing import Any

from django.db import connection, transaction
from django.db.models import Q

from jobs import sql
from jobs.ephemeral import Ephemeral
from jobs.models import Job
from jobs.states import Status
from jobs.transport import transport


def keep(job: Job, progress: dict[str, Any]) -> bool:
    """Keep it if the claim still holds, or has just come to its end, and tell the scope. Redis may be away: it is only
    told, never needed.

    ``False`` if somebody else holds the job's row just now: nobody is waited for, because the caller has a heart to
    keep beating.
    """
    with transaction.atomic():
        kept = sql.ask(_kept(connection.vendor), job=job.pk, token=job.token, progress=sql.text(progress))
    if not kept:
        going_or_done = Q(finished_at=None) | Q(status=Status.COMPLETED)
        return not Job.objects.filter(going_or_done, pk=job.pk, token=job.token).exists()
    transport().stir(job.pk)
    if job.scope_id is not None:
        asked = job.root or job
        transport().say(
            job.scope_id,
            Ephemeral(
                event="progress",
                request_id=str(asked.public_id),
                kind=asked.type,
                data=progress,
                deciders_only=False,
            ),
        )
    return True


@cache
def _kept(vendor: str) -> str:
    return f"""
        UPDATE jobs_job SET progress = {sql.as_json("%(progress)s")}
        WHERE id IN (
            SELECT id FROM jobs_job
            WHERE id = %(job)s AND token = %(token)s AND (finished_at IS NULL OR status = '{Status.COMPLETED}')
            {sql.locked(skip=True)}
        )
        RETURNING id"""
