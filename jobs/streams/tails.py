"""The jobs that this process watches: who waits for news of which, and whether the record has any.

As with scopes, a wake-up is only a hint. Without any, one query a second for all watched jobs finds what has changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db.models import OuterRef, Subquery

from accounts.threads import in_thread
from jobs.models import Job
from jobs.models_steps import JobLog

Mark = tuple[Any, ...]


class Tails:
    """Watchers by job. ``watched``: the jobs that somebody watches."""

    def __init__(self) -> None:
        self._watchers: dict[int, set[asyncio.Event]] = {}
        self._marks: dict[int, Mark] = {}

    @property
    def watched(self) -> Collection[int]:
        return self._watchers.keys()

    @contextmanager
    def of(self, job_id: int) -> Iterator[asyncio.Event]:
        """Somebody watches while the block runs, and shall look at once."""
        news = asyncio.Event()
        news.set()
        self._watchers.setdefault(job_id, set()).add(news)
        try:
            yield news
        finally:
            self._watchers[job_id].discard(news)
            if not self._watchers[job_id]:
                del self._watchers[job_id]
                self._marks.pop(job_id, None)

    def stir(self, job_id: int) -> None:
        """Let those who watch the job look."""
        for news in self._watchers.get(job_id, ()):
            news.set()

    async def ask(self) -> None:
        """Stir those whose job has changed since this was last asked."""
        if not self._watchers:
            return
        marks = await in_thread(read_marks, list(self._watchers))
        for job_id in self._watchers:
            if self._marks.get(job_id) != marks.get(job_id):
                self.stir(job_id)
        self._marks = {job_id: mark for job_id, mark in marks.items() if job_id in self._watchers}


def read_marks(job_ids: Iterable[int]) -> dict[int, Mark]:
    """What is different once there is news of a job."""
    last = JobLog.objects.filter(job=OuterRef("pk")).order_by("-pk").values("pk")[:1]
    found = Job.objects.filter(pk__in=list(job_ids)).annotate(last_line=Subquery(last))
    columns = ("status", "run", "token", "attempt", "held_back_by", "cancel_requested_at", "progress", "last_line")
    return {job_id: mark for job_id, *mark in found.values_list("pk", *columns)}
