"""Starting workflows: in a game or in the owner's own scope, with the owner's rights."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User

from accounts import audit
from jobs import registry
from jobs.errors import Forbidden, Invalid, NotFound
from jobs.events.ledger import ledger
from jobs.models import Job
from jobs.operations.enqueue import enqueue
from jobs.owners import KIND, may_run, owner_key
from jobs.registry import JobType
from jobs.workflows import Automation, Workflow

KEY_CHARACTERS = 200

audit.register_action("workflow.started")


def workflows() -> dict[str, JobType]:
    """The job types that are workflows, by name."""
    return {name: job_type for name, job_type in sorted(registry.job_types().items()) if job_type.workflow}


def start(
    name: str,
    payload: dict[str, Any],
    *,
    user: User,
    scope: str = "",
    automation: Automation | None = None,
    idempotency_key: str = "",
    unique: str = "",
) -> Job:
    """A request for this workflow. ``scope`` is the key of its project, by default the user's own.

    The same key from the same user gives the same request; for ``unique`` see ``enqueue``. ``NotFound`` for no such
    workflow, and for a scope that the user does not see; ``Forbidden`` for one where the user's rights do not carry
    it; ``Invalid`` with the path of every mistake; ``Conflict``.
    """
    job_type = workflows().get(name)
    if job_type is None or job_type.workflow is None:
        raise NotFound("there is no such workflow")
    if len(idempotency_key) > KEY_CHARACTERS or not idempotency_key.isprintable():
        reason = f"at most {KEY_CHARACTERS} printable characters"
        raise Invalid(f"idempotency_key: {reason}", fields={"idempotency_key": reason})
    key = scope or owner_key(user)
    _check_scope(user, job_type.workflow, key)
    body = payload if automation is None else {**payload, "automation": automation}
    with ledger():
        job = enqueue(job_type, body, owner=user, scope=key, idempotency_key=idempotency_key, unique=unique)
        if not audit.is_recorded("workflow.started", on=job):
            audit.record("workflow.started", actor=user, on=job, workflow=name, scope=key)
    return job


def _check_scope(user: User, workflow: Workflow, key: str) -> None:
    kind = key.partition(":")[0]
    if kind != workflow.scope:
        wanted = "leave it out" if workflow.scope == KIND else f'"{workflow.scope}:<id>"'
        raise Invalid(f"{workflow.title} works in a {workflow.scope}", fields={"scope": wanted})
    if not registry.scope_rules(key).may_see(user, key):
        raise NotFound("there is no such scope")
    if not may_run(user, workflow, key):
        raise Forbidden("this is for those who decide here")
