"""What is measured, and of which systems."""

from __future__ import annotations

from typing import NamedTuple

from bench.aims import OURS
from bench.systems.catalog import SYSTEMS

FLOOR = "bare"
ALL = tuple(name for name in SYSTEMS if name != FLOOR)
ON_SERVERS = tuple(name for name in ALL if name != "sqlite")


class Workload(NamedTuple):
    """What ``module`` measures of each of these systems of the catalog, in a database of its own."""

    module: str
    systems: tuple[str, ...]
    logged: bool = False
    """In a database that logs every statement."""


QUEUES = {
    "start": Workload("bench.workloads.start", (*ALL, FLOOR)),
    "drain": Workload("bench.workloads.drain", ALL),
    "flood": Workload("bench.workloads.flood", ("ours", "sqlite", "huey", "bullmq")),
    "lanes": Workload("bench.ours.lanes", ("ours", "sqlite")),
    "limits": Workload("bench.ours.limits", ("ours",)),
    "sleep": Workload("bench.workloads.sleep", ON_SERVERS),
    "sleep1000": Workload(
        "bench.workloads.sleep1000", ("ours", "procrastinate", "bullmq-pg", "celery", "huey", "bullmq")
    ),
    "backlog": Workload("bench.workloads.backlog", tuple(name for name in ON_SERVERS if name != "django-rq")),
    "statements": Workload("bench.workloads.statements", ON_SERVERS, logged=True),
    "operations": Workload("bench.ours.operations", ("ours",)),
}
"""What every queue does. A django-rq worker waits as an rq worker does, so its backlog would say nothing new."""

WEB = {
    "watch": {OURS: "bench.ours.watch"},
    "crowd": {OURS: "bench.ours.crowd"},
    "submit": {OURS: "bench.ours.submit", "a bare view, django-rq": "bench.floor.submit"},
    "chat": {OURS: "bench.ours.chat"},
}
"""What happens over HTTP, which the others leave to the application; modules by system."""
