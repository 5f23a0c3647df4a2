"""Pausing and resuming queues and workers, so that it outlasts every restart."""

from __future__ import annotations

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from accounts import audit
from jobs.errors import NotFound
from jobs.models import QueueControl, Worker
from jobs.models_operating import ControlKind
from jobs.operations import dispatch
from jobs.operations.operator import Operator
from jobs.pauses import pauses

for _action in ("queue.paused", "queue.resumed", "worker.paused", "worker.resumed"):
    audit.register_action(_action)


def known_queue(name: str) -> str:
    """The name, if there is such a queue; ``NotFound``."""
    if name not in settings.QUEUES:
        raise NotFound(f"there is no queue {name!r}; there are {', '.join(settings.QUEUES)}")
    return name


def pause_queue(name: str, *, by: Operator) -> QueueControl:
    """No worker takes jobs of this queue any more; what runs goes on. Twice is the same as once."""
    return _pause(ControlKind.QUEUE, known_queue(name), by)


def resume_queue(name: str, *, by: Operator) -> QueueControl:
    """Workers take jobs of this queue again, in today's order."""
    dispatch.withdraw(known_queue(name))  # of those that were popped in vain meanwhile, the first are missing
    control = _resume(ControlKind.QUEUE, name, by)
    transaction.on_commit(lambda: dispatch.rebuild(name))
    return control


def pause_worker(name: str, *, by: Operator) -> QueueControl:
    """The worker of this name takes no jobs, nor does a later one of the same name. ``NotFound`` for one never seen."""
    if not Worker.objects.filter(name=name).exists():
        raise NotFound(f"there was never a worker {name!r}")
    return _pause(ControlKind.WORKER, name, by)


def resume_worker(name: str, *, by: Operator) -> QueueControl:
    """The worker of this name takes jobs again. ``NotFound`` if it was never paused."""
    if not QueueControl.objects.filter(kind=ControlKind.WORKER, name=name).exists():
        raise NotFound(f"worker {name!r} was never paused")
    return _resume(ControlKind.WORKER, name, by)


def _pause(kind: ControlKind, name: str, by: Operator) -> QueueControl:
    with transaction.atomic():
        control, _ = QueueControl.objects.get_or_create(kind=kind, name=name)
        if QueueControl.objects.filter(pk=control.pk, paused_at=None).update(paused_at=Now(), paused_by=by.user):
            by.record(f"{kind.value}.paused", control)
    return _fresh(control)


def _resume(kind: ControlKind, name: str, by: Operator) -> QueueControl:
    with transaction.atomic():
        control, _ = QueueControl.objects.get_or_create(kind=kind, name=name)
        held = QueueControl.objects.filter(pk=control.pk, paused_at__isnull=False)
        if held.update(paused_at=None, paused_by=None):
            by.record(f"{kind.value}.resumed", control)
    return _fresh(control)


def _fresh(control: QueueControl) -> QueueControl:
    pauses.forget()
    control.refresh_from_db()
    return control
