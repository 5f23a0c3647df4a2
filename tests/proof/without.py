"""The guards, and how to take each out of a process: ``WITHOUT=<name>`` with this module as a pytest plugin."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from inspect import signature
from typing import Any

import pytest
from pytest_django import DjangoDbBlocker

FENCES = "tests/proof/test_fences.py"
FAILPOINTS = "tests/proof/test_failpoints.py"
ENGINE = "tests/jobs/test_engine.py"
LIMITS = "tests/jobs/test_limits.py"
CAPS = "tests/jobs/test_rates_and_caps.py"
RULES = "tests/jobs/test_rules.py"
WAITS = "tests/jobs/test_waits.py"
CONFIRMATIONS = "tests/workflows/test_confirmations.py"


@dataclass(frozen=True)
class Guard:
    """What it keeps out, how it is taken out, and the tests that must miss it.

    ``locks``: it only matters where transactions overlap, which they don't in SQLite.
    """

    keeps_out: str
    take_out: Callable[[], None]
    missed_by: str
    locks: bool = False


def _replace(name: str, value: Any, *owners: Any) -> None:
    """By one that is called alike: a test that fails because of an argument too many misses nothing."""
    for owner in owners:
        asked, given = (len(signature(each).parameters) for each in (getattr(owner, name), value))
        assert asked == given or "args" in signature(value).parameters, f"{name} takes {asked} arguments, not {given}"
        setattr(owner, name, value)


def _token() -> None:
    from jobs import sql
    from jobs.operations import hot, leases, outcomes
    from jobs.states import Status

    _replace("held", lambda job, token: job.status == Status.RUNNING, leases, outcomes)
    fits = sql.listed("id, token", "f")
    _leave_out(hot, "_complete", f"{fits} AND ", " AND f.token = jobs_job.token")


def _end_status() -> None:
    from jobs.operations import hot, leases, outcomes

    _replace("held", lambda job, token: job.token == token, leases, outcomes)
    _leave_out(hot, "_complete", " AND status = 'running'")


def _claim_status() -> None:
    from jobs.operations import claiming

    _leave_out(claiming, "_claim", "k.status = 'queued' AND ")


def _leave_out(module: Any, name: str, *words: str) -> None:
    """Take some words out of a statement. It must have them: a test that fails because they are not there misses
    nothing, so that is found out here."""
    whole = getattr(module, name)()
    left = whole if isinstance(whole, str) else whole.change
    for each in words:
        assert each in left, f"{name} does not say {each!r}"
        left = left.replace(each, "")
    statement = left if isinstance(whole, str) else replace(whole, change=left)
    _replace(name, lambda: statement, module)


def _lane_release() -> None:
    from jobs.operations import transitions

    _replace("_release_lanes", lambda book, ended: None, transitions)


def _idempotency() -> None:
    from jobs.models import IdempotencyKey

    _drop_constraint(IdempotencyKey, "idempotency_once")


def _one_end() -> None:
    from jobs.models_events import JobEvent

    _drop_constraint(JobEvent, "job_event_final_once")


def _drop_constraint(model: Any, name: str) -> None:
    (constraint,) = (constraint for constraint in model._meta.constraints if constraint.name == name)
    _drop(model, constraint)


def _drop(model: Any, constraint: Any) -> None:
    from django.db import connection

    with connection.schema_editor() as editor:
        editor.remove_constraint(model, constraint)


def _scope_lock() -> None:
    """Heads are read and then written, as without the lock that raising them takes."""
    from collections import Counter
    from types import SimpleNamespace

    from jobs import statements
    from jobs.events import ledger
    from jobs.models import Scope

    write = ledger._write

    def read_and_write() -> SimpleNamespace:
        def execute(rows: list[dict[str, Any]]) -> list[tuple[int, int]]:
            counts = Counter(row["scope"] for row in rows if row["scope"] is not None)
            heads = dict(Scope.objects.filter(pk__in=counts).values_list("pk", "head"))
            for scope, count in counts.items():
                heads[scope] += count
                Scope.objects.filter(pk=scope).update(head=heads[scope])
            statements.execute(write().insert.replace("{changed}", "jobs_scope"), rows)
            return list(heads.items())

        return SimpleNamespace(execute=execute)

    _replace("_write", read_and_write, ledger)


def _lane_lock() -> None:
    from jobs.events import ledger

    _leave_out(ledger, "_lanes_locked", "FOR NO KEY UPDATE")


def _unlock(model: str) -> None:
    from django.db.models import QuerySet

    lock = QuerySet.select_for_update

    def skip(rows: Any, *args: Any, **kwargs: Any) -> Any:
        return rows if rows.model.__name__ == model else lock(rows, *args, **kwargs)

    _replace("select_for_update", skip, QuerySet)


def _permit_lock() -> None:
    """Limits that have a row are left as they are, so nobody waits for who locks one."""
    from jobs.operations import admitting

    lock = admitting._lock

    def without(of: str = "true") -> str:
        return lock(of).partition(" DO UPDATE ")[0] + " DO NOTHING"

    _replace("_lock", without, admitting)


def _permit_count() -> None:
    from jobs.operations import admitting

    _replace("_taken", lambda most="": "0", admitting)


def _give_back() -> None:
    from jobs.worker.pulse import Pulse

    _replace("_give_back", lambda pulse, unknown: None, Pulse)


def _write_guard() -> None:
    from jobs.guard import WriteGuard

    def let_through(guard: Any, execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
        return execute(sql, params, many, context)

    _replace("_check", let_through, WriteGuard)


def _decided_once() -> None:
    from approvals.operations import deciding, expiring, settling, undoing

    def move(found: Any, origin: str, to: str, **columns: Any) -> bool:
        return bool(found.update(status=to, **columns) == 1)

    _replace("move", move, deciding, expiring, settling, undoing)


def _same_way() -> None:
    from jobs.memory import Memory

    _replace("_left_out", lambda memory: [], Memory)


def _misuse_is_remembered() -> None:
    from jobs.context import JobContext

    _replace("_misused", lambda context, misuse: misuse, JobContext)


def _withdrawal() -> None:
    from jobs.operations import transitions

    _replace("_withdraw_waits", lambda ended: None, transitions)


def _upwards() -> None:
    from jobs.operations import controls

    _replace("end_called_off", lambda root_id: None, controls)


def _owners_right() -> None:
    from jobs.operations import workflow_steps

    _replace("_require_right", lambda job: None, workflow_steps)


def _exact_confirmation() -> None:
    from jobs.operations import confirmations

    _replace("_is_meant", lambda asked, step, version: True, confirmations)


GUARDS = {
    "token": Guard("a claim that is over", _token, FENCES),
    "end status": Guard("an end that was written", _end_status, FENCES),
    "claim status": Guard("an old ticket", _claim_status, FENCES),
    "lane release": Guard("a lane that nobody opens", _lane_release, ENGINE),
    "idempotency unique": Guard("two jobs for one key", _idempotency, f"{ENGINE} -k many_callers", locks=True),
    "final event unique": Guard("two ends", _one_end, FENCES),
    "scope lock": Guard("a number given twice", _scope_lock, FENCES, locks=True),
    "permit lock": Guard("one too many at once", _permit_lock, f"{LIMITS} -k many_claim", locks=True),
    "permit count": Guard("a permit given twice", _permit_count, f"{LIMITS} -k one_by_one"),
    "cap lock": Guard("one too many waiting", lambda: _unlock("Bucket"), f"{CAPS} -k many_ask", locks=True),
    "lane lock": Guard("a place given twice", _lane_lock, FENCES, locks=True),
    "unknown claims": Guard(
        "a claim nobody works on",
        _give_back,
        f"{FAILPOINTS}::test_a_commit_succeeds_there_and_nobody_is_told[in_claim]",
    ),
    "write guard": Guard("writes outside commit", _write_guard, f"{ENGINE} -k breaks_a_rule"),
    "same way": Guard("another story on a replay", _same_way, f"{RULES} -k another_way"),
    "misuse": Guard("a rule broken in secret", _misuse_is_remembered, f"{RULES} -k hides_it"),
    "withdrawal": Guard("an alarm for the dead", _withdrawal, f"{WAITS} -k called_off"),
    "upwards": Guard("a parent that nobody ends", _upwards, "tests/jobs/test_gather.py -k family_in_a_lane"),
    "owner's right": Guard("a right that was lost", _owners_right, f"{CONFIRMATIONS} -k stops_the_workflow"),
    "exact confirmation": Guard("a yes to what is not shown", _exact_confirmation, f"{CONFIRMATIONS} -k was_shown"),
    "decision status": Guard("two decisions", _decided_once, "tests/approvals/test_races.py"),
}


def asked() -> Guard | None:
    """The guard that this process shall do without."""
    return GUARDS[os.environ["WITHOUT"]] if os.environ.get("WITHOUT") else None


@pytest.fixture(scope="session", autouse=True)
def _without(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    with django_db_blocker.unblock():
        if guard := asked():
            guard.take_out()
