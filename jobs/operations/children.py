"""Jobs that a handler calls: recorded in the transaction that makes their parent wait."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.conf import settings

from jobs import limits
from jobs.errors import HandlerMisuse, Invalid
from jobs.events.ledger import Ledger
from jobs.models import Job
from jobs.operations.asking import Options, new_job
from jobs.operations.births import born, tag
from jobs.registry import JobType
from jobs.states import Status


def insert_child(book: Ledger, parent: Job, job_type: JobType, payload: dict[str, Any], *, step: str) -> Job:
    """A child job, in the transaction that makes its locked parent wait; it inherits owner, scope and priority."""
    child = _child(parent, job_type, payload, step)
    _refuse_ancestors_key(child, parent)
    born(book, [child])
    tag([child], job_type.tags)
    return child


def insert_children(book: Ledger, parent: Job, calls: Sequence[tuple[str, JobType, dict[str, Any]]]) -> None:
    """``insert_child`` for each of these (step, type, payload), in a few statements."""
    if len(calls) > settings.CONFIG.bulk_jobs:
        raise Invalid(f"at most {settings.CONFIG.bulk_jobs} jobs at once", code="too_many")
    children = [_child(parent, job_type, payload, step) for step, job_type, payload in calls]
    for child in {child.concurrency_key: child for child in children}.values():
        _refuse_ancestors_key(child, parent)
    for kind in {(child.type, child.version): None for child in children}:
        alike = [child for child in children if (child.type, child.version) == kind]
        born(book, alike)
        tag(alike, alike[0].declared().tags)


def _child(parent: Job, job_type: JobType, payload: dict[str, Any], step: str) -> Job:
    child = new_job(job_type, payload, Options(priority=parent.priority, fair_key=parent.fair_key))
    child.owner_id, child.scope_id = parent.owner_id, parent.scope_id
    child.parent, child.root_id, child.step = parent, parent.root_id_or_self, step
    child.status = Status.QUEUED
    return child


def _refuse_ancestors_key(child: Job, parent: Job) -> None:
    """A child that needs a permit which its own ancestor holds could wait for ever. Its siblings' end without it."""
    if not child.concurrency_key:
        return
    held = {path for key in _keys_above(parent) for path in limits.prefixes(key)}
    if shared := held & set(limits.prefixes(child.concurrency_key)):
        raise HandlerMisuse(f"{child.type} needs the concurrency key {min(shared)!r}, which the request itself holds")


def _keys_above(job: Job) -> Iterator[str]:
    """The concurrency keys of a job and of those that wait for it."""
    yield job.concurrency_key
    above = job.parent_id
    while above is not None:
        key, above = Job.objects.values_list("concurrency_key", "parent").get(pk=above)
        yield key
