"""The audit log: what people and the system did, under action names that were registered."""

from typing import Any

from django.contrib.auth.models import User
from django.db.models import Model

from accounts.models import AuditEntry

_actions: set[str] = set()


def register_action(name: str) -> None:
    """Declare an action, so that a misspelt one can't slip into the log."""
    _actions.add(name)


def is_recorded(action: str, *, on: Model) -> bool:
    """Whether the log has this action on this thing."""
    target = str(getattr(on, "public_id", on.pk))
    return AuditEntry.objects.filter(target_type=on._meta.label_lower, target_id=target, action=action).exists()


def record(action: str, *, actor: User | None, on: Model, **data: Any) -> AuditEntry:
    """Append an entry in the caller's transaction. No ``actor`` means the system. ``LookupError`` for an
    action that nobody registered."""
    if action not in _actions:
        raise LookupError(f"audit action {action!r} is not registered")
    return AuditEntry.objects.create(
        actor=actor,
        actor_label=actor.get_username() if actor else "system",
        action=action,
        target_type=on._meta.label_lower,
        target_id=str(getattr(on, "public_id", on.pk)),
        data=data,
    )
