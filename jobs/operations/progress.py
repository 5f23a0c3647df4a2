"""How far handlers say they are: kept on their jobs' rows, and told in passing to those who watch."""

from __future__ import annotations

from typing import Any

from jobs.ephemeral import Ephemeral
from jobs.models import Job
from jobs.transport import transport


def keep(job: Job, progress: dict[str, Any]) -> None:
    """Keep it if the claim still holds, and tell the scope. Redis may be away: it is only told, never needed."""
    kept = Job.objects.filter(pk=job.pk, token=job.token, finished_at=None).update(progress=progress)
    if kept and job.scope_id is not None:
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
