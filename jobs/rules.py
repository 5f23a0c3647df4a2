"""Who may operate the queue: staff with the right for the action, as Django's permissions give it."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db.models import Model


def operator_rule(user: User, action: str, on: object) -> bool:
    """``cancel`` on a job needs staff with ``jobs.cancel_job``; ``pause`` on a queue ``jobs.pause_queuecontrol``."""
    return isinstance(on, Model) and user.is_staff and user.has_perm(f"jobs.{action}_{on._meta.model_name}")
