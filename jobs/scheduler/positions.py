"""Whoever waits in a line is told in passing when those ahead have ended: ``request.position``."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from jobs.ephemeral import Ephemeral
from jobs.models import Job
from jobs.states import FINAL
from jobs.transport import transport

LANES = 500
WAITING = 2000


class Positions:
    """Remembers since when it has told, and what it told last, because it looks a little further back than that."""

    def __init__(self) -> None:
        self._since = timezone.now()
        self._told: dict[int, int] = {}

    def __call__(self) -> float:
        """Tell those behind whoever ended since the last look; seconds until the next."""
        now = timezone.now()
        lanes = _moved_lanes(self._since)
        # An end is committed a moment after the time that it bears.
        self._since = now - timedelta(seconds=settings.CONFIG.tick_seconds)
        self._tell(_in_line(lanes) if lanes else [])
        return settings.CONFIG.tick_seconds

    def _tell(self, waiting: list[tuple[Job, int]]) -> None:
        told, self._told = self._told, {job.pk: position for job, position in waiting}
        news = [
            (job.scope_id, _position(job, position))
            for job, position in waiting
            if job.scope_id is not None and told.get(job.pk) != position
        ]
        if news:
            transport().say(news)


def _moved_lanes(since: datetime) -> list[int]:
    """The lanes in which somebody has ended since."""
    ended = Job.objects.filter(status__in=FINAL, finished_at__gte=since, place__isnull=False, scope__isnull=False)
    return list(ended.order_by().values_list("lane", flat=True).distinct()[:LANES])


def _in_line(lanes: list[int]) -> list[tuple[Job, int]]:
    """Those in these lanes that have not begun, each with how many are ahead."""
    ahead: Counter[int | None] = Counter()
    waiting = []
    columns = ("public_id", "type", "scope", "lane", "started_at")
    for job in (
        Job.objects.open().filter(lane__in=lanes, place__isnull=False).order_by("place").only(*columns)[:WAITING]
    ):
        if job.started_at is None:
            waiting.append((job, ahead[job.lane_id]))
        ahead[job.lane_id] += 1
    return waiting


def _position(job: Job, position: int) -> Ephemeral:
    return Ephemeral(
        event="request.position",
        request_id=str(job.public_id),
        kind=job.type,
        data={"position": position},
        deciders_only=False,
    )
