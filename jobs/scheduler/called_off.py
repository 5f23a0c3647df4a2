"""Jobs that were called off and whose children have ended, where a process died in between."""

from __future__ import annotations

from django.conf import settings
from django.db.models import Exists, OuterRef

from jobs.models import Job
from jobs.operations.apart import one_by_one
from jobs.operations.controls import end_called_off
from jobs.states import Status

BATCH = 100


def run_called_off() -> float:
    """End one batch; seconds until the next look."""
    waiting = Job.objects.filter(status=Status.WAITING, cancel_requested_at__isnull=False)
    children = Job.objects.open().filter(parent=OuterRef("pk"))
    idle = waiting.exclude(Exists(children)).order_by("cancel_requested_at")
    one_by_one({job.root_id_or_self for job in idle.only("pk", "root")[:BATCH]}, end_called_off)
    return settings.CONFIG.tick_seconds
