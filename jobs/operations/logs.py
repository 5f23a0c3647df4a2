"""The lines that handlers write about their work: kept, the newest of each job, and each not too long."""

from __future__ import annotations

from django.conf import settings

from jobs.models import Job
from jobs.models_steps import JobLog
from jobs.storable import cleaned

TRIMMED_EVERY = 100
"""How many lines one claim writes before those that are too many go: a job has at most so many too many."""


def write(job: Job, text: str, *, count: int) -> None:
    """Keep a line; ``count`` says how many this claim has written before."""
    JobLog.objects.create(job_id=job.pk, attempt=job.attempt, text=_shortened(cleaned(text)))
    if count % TRIMMED_EVERY == 0:
        _trim(job)


def _shortened(text: str) -> str:
    limit = settings.CONFIG.log_characters
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _trim(job: Job) -> None:
    lines = JobLog.objects.filter(job=job.pk).order_by("-pk").values_list("pk", flat=True)
    first_kept = lines[settings.CONFIG.log_lines - 1 : settings.CONFIG.log_lines].first()
    if first_kept is not None:
        JobLog.objects.filter(job=job.pk, pk__lt=first_kept).delete()
