"""Who may operate the queue: staff with the right for the action, as Django's permissions give it."""

from __future__ import annotations

from django.contrib.auth.models import AnonymousUser, User
from django.db.models import Model


def operator_rule(user: User, action: str, on: object) -> bool:
    """``cancel`` on a job needs staff with ``jobs.cancel_job``; ``pause`` on a queue ``jobs.pause_queuecontrol``."""
    return isinstance(on, Model) and user.is_staff and user.has_perm(f"jobs.{action}_{on._meta.model_name}")


def may_inspect(user: User | AnonymousUser | None) -> bool:
    """Whether staff see what jobs hold: payload, result, what an error says, steps, logs, the timeline's data."""
    return isinstance(user, User) and user.is_active and user.is_staff and user.has_perm("jobs.inspect_job")
