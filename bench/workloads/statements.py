"""What one job costs the servers in statements and commands, as PostgreSQL's log and Redis itself count them."""

from __future__ import annotations

from typing import NamedTuple

from bench.measures import Measure
from bench.systems import servers
from bench.systems.system import System
from bench.workloads.working import working

JOBS = 200
STATEMENTS = ("LOG:  statement: ", "LOG:  execute ")


class Counted(NamedTuple):
    statements: int
    commands: int


def measure(system: System) -> list[Measure]:
    """For one enqueued by itself, and for one of many that are worked off. In a database that logs every statement."""
    with working(system, system.drainers()) as processes:
        with processes.held():
            before = _counted()
            system.enqueue_each(JOBS)
            enqueued = _counted()
        processes.await_idle()
        worked_off = _counted()
    return [*_told("to enqueue", before, enqueued), *_told("to work off", enqueued, worked_off)]


def _told(what: str, before: Counted, after: Counted) -> list[Measure]:
    return [
        Measure(f"statements {what} a job", (after.statements - before.statements) / JOBS, ""),
        Measure(f"Redis commands {what} a job", (after.commands - before.commands) / JOBS, ""),
    ]


def _counted() -> Counted:
    with servers.postgres_log().open(errors="replace") as log:
        statements = sum(any(kind in line for kind in STATEMENTS) for line in log)
    return Counted(statements, servers.redis_commands())
