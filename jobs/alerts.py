"""What calls for a person's attention now. Questions only; ``jobs.operations.incidents`` remembers and tells."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from django.conf import settings
from django.db.models.functions import Now

from jobs.models import Leadership
from jobs.overview import Overview, ended_lately
from jobs.registry import QueueStatus

NO_WORKER = "no_worker"
OLDEST = "oldest"
DEAD = "dead"
NO_LEADER = "no_leader"

ALERTS = {
    NO_WORKER: "No live worker listens to a queue.",
    OLDEST: "The first job of a queue has waited longer than ALERT_OLDEST_SECONDS.",
    DEAD: "Of a queue's jobs that ended within ALERT_WINDOW_SECONDS, more than ALERT_DEAD_SHARE are dead.",
    NO_LEADER: "No scheduler leads: nothing that is due happens.",
}


@dataclass(frozen=True)
class Finding:
    """A condition that holds now: which, of what (a queue, or nothing), and in a sentence."""

    alert: str
    subject: str
    detail: str


def of_queues(overview: Overview) -> list[Finding]:
    """What is wrong with queues."""
    return [*_of_each(overview), *_dying()]


def _of_each(overview: Overview) -> Iterator[Finding]:
    for queue in overview.queues:
        if not queue.people:
            yield from _of(queue)


def _of(queue: QueueStatus) -> Iterator[Finding]:
    if not queue.workers:
        yield Finding(NO_WORKER, queue.name, f"no live worker listens to {queue.name}; {queue.depth} jobs wait")
    limit = settings.CONFIG.alert_oldest_seconds
    if not queue.paused and queue.oldest_seconds is not None and queue.oldest_seconds > limit:
        yield Finding(OLDEST, queue.name, f"the first job of {queue.name} has waited for more than {limit:g} s")


def _dying() -> Iterator[Finding]:
    config = settings.CONFIG
    for queue, ends in ended_lately(config.alert_window_seconds).items():
        dead = ends["job.dead"]
        if dead >= config.alert_dead_jobs and dead > config.alert_dead_share * ends.total():
            yield Finding(DEAD, queue, f"{dead} of {ends.total()} jobs of {queue} that ended lately are dead")


def of_leadership() -> list[Finding]:
    """Whether somebody leads, for those to ask who don't."""
    if Leadership.objects.filter(lease_until__gt=Now()).exclude(holder="").exists():
        return []
    return [Finding(NO_LEADER, "", "no scheduler leads: run `manage.py scheduler`")]


def ways() -> list[str]:
    """By what incidents are told: by all that is configured."""
    configured = {"webhook": settings.CONFIG.alert_webhook_url, "email": settings.CONFIG.alert_emails}
    return [way for way, whom in configured.items() if whom]


class Lasting:
    """Remembers since when each condition has held: a worker that is being replaced is no incident."""

    def __init__(self) -> None:
        self._since: dict[tuple[str, str], float] = {}

    def of(self, findings: list[Finding]) -> list[Finding]:
        """Those of what is found now that have been found for ``alert_after_seconds``."""
        now = time.monotonic()
        keys = [(finding.alert, finding.subject) for finding in findings]
        self._since = {key: self._since.get(key, now) for key in keys}
        ripe = now - settings.CONFIG.alert_after_seconds
        return [finding for finding, key in zip(findings, keys, strict=True) if self._since[key] <= ripe]
