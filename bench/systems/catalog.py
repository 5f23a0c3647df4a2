"""Which systems there are, in which environment each runs, and which of them each workload measures."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib import import_module
from typing import Literal

from bench.systems.installed import node_modules_of, python_of
from bench.systems.system import System


@dataclass(frozen=True)
class Entry:
    """A system: its name for people, its class, and what its processes need.

    ``peer`` and ``node`` name the requirements it is installed from; without, it is what the project itself rests on.
    """

    label: str
    system: str
    settings: str = ""
    database: Literal["migrated", "empty", "sqlite"] = "empty"
    peer: str = ""
    node: str = ""

    def python(self) -> str:
        """Where its class can be imported; ``Missing``."""
        return python_of(self.peer) if self.peer else sys.executable

    def environment(self) -> dict[str, str]:
        """What its processes need beside the servers; ``Missing``."""
        found = {"DJANGO_SETTINGS_MODULE": self.settings} if self.settings else {}
        return found | ({"BENCH_NODE": str(node_modules_of(self.node))} if self.node else {})


_OURS = "bench.systems.ours:Ours"
_SETTINGS = "bench.systems.settings"

SYSTEMS = {
    "ours": Entry("queueproject", _OURS, "bench.ours.settings", "migrated"),
    "sqlite": Entry("queueproject on SQLite", _OURS, "bench.ours.settings", "sqlite"),
    "procrastinate": Entry(
        "procrastinate", "bench.systems.procrastinate:Procrastinate", f"{_SETTINGS}.procrastinate", peer="procrastinate"
    ),
    "bullmq-pg": Entry("BullMQ on PostgreSQL", "bench.systems.bullmq:BullMqOnPostgres", node="bullmq"),
    "celery": Entry(
        "Celery, django-celery-results", "bench.systems.celery:Celery", f"{_SETTINGS}.celery", peer="celery"
    ),
    "dramatiq": Entry(
        "Dramatiq, django-dramatiq", "bench.systems.dramatiq:Dramatiq", f"{_SETTINGS}.dramatiq", peer="dramatiq"
    ),
    "rq": Entry("rq (SimpleWorker)", "bench.systems.rq:Rq"),
    "django-rq": Entry("django-rq", "bench.systems.django_rq:DjangoRq", f"{_SETTINGS}.django_rq"),
    "huey": Entry("Huey", "bench.systems.huey:Huey", peer="huey"),
    "bullmq": Entry("BullMQ on Redis", "bench.systems.bullmq:BullMq", node="bullmq"),
    "bare": Entry("by hand, without a queue", "bench.systems.bare:Bare"),
}


def load(name: str) -> System:
    """The system, ready, in the environment it was started in."""
    module, _, cls = SYSTEMS[name].system.partition(":")
    if SYSTEMS[name].settings:
        import django

        django.setup()
    system: System = getattr(import_module(module), cls)()
    system.prepare()
    return system
