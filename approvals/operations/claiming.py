"""A person takes an approval aside for a while, so that two don't work on the same one."""

from __future__ import annotations

from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction

from accounts import audit
from approvals.models import Approval
from approvals.operations.conflicts import conflict
from approvals.rules import find
from jobs.clock import in_seconds

audit.register_action("approval.claimed")
audit.register_action("approval.released")


@transaction.atomic
def claim(*, user: User, approval_id: UUID) -> Approval:
    """Keep others from deciding for ``claim_seconds``; claiming again renews. A dead claim frees itself.

    ``Conflict`` with code ``claimed`` when someone else holds it, ``already_decided`` when nobody is asked any more.
    """
    approval = find(user, approval_id)
    mine = Approval.objects.pending().filter(pk=approval_id).unclaimed_by_others(user)
    if not mine.update(claimed_by=user, claimed_until=in_seconds(settings.CONFIG.claim_seconds)):
        raise conflict(approval_id, approval.version)
    approval.refresh_from_db()
    audit.record("approval.claimed", actor=user, on=approval, version=approval.version)
    return approval


@transaction.atomic
def release_claim(*, user: User, approval_id: UUID) -> bool:
    """Let others decide again; ``False`` if this user held no claim on something pending."""
    approval = find(user, approval_id)
    held = Approval.objects.pending().filter(pk=approval_id, claimed_by=user)
    if not held.update(claimed_by=None, claimed_until=None):
        return False
    audit.record("approval.released", actor=user, on=approval, version=approval.version)
    return True
