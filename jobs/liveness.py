"""Two more things that never lie around while a scheduler and workers run; checked with ``jobs.invariants``."""

from __future__ import annotations

from django.db.models import Count, F, Q
from django.db.models.functions import Now

from jobs.invariants import MOST_ROWS, Row, ago
from jobs.models import Job, Worker
from jobs.models_schedules import Schedule
from jobs.pauses import Pauses
from jobs.states import Status


def no_tick_is_overdue() -> list[Row]:
    """No schedule that is in force has a tick whose time was up long ago."""
    late = Schedule.objects.in_force().filter(next_at__lt=ago())
    return [dict(row) for row in late.values("name", "next_at")[:MOST_ROWS]]


def nobody_waits_for_the_idle() -> list[Row]:
    """Where a worker has free slots and has been given nothing for long, nothing has been queued for long."""
    pauses = Pauses()
    free = Worker.objects.filter(ended_at=None, lease_until__gt=Now(), started_at__lt=ago())
    free = free.annotate(busy=Count("jobs", filter=Q(jobs__status=Status.RUNNING)))
    idle = free.filter(busy__lt=F("slots") - F("lost_slots")).exclude(name__in=pauses.workers())
    served = {queue for queues in idle.values_list("queues", flat=True) for queue in queues}
    busy = set(Job.objects.filter(queue__in=served, started_at__gt=ago()).values_list("queue", flat=True).distinct())
    waiting = Job.objects.filter(status=Status.QUEUED, held_back_by="", queued_at__lt=ago())
    stuck = waiting.filter(queue__in=served - busy - pauses.queues())
    return [dict(row) for row in stuck.values("id", "queue", "queued_at")[:MOST_ROWS]]


LIVENESS = (no_tick_is_overdue, nobody_waits_for_the_idle)
