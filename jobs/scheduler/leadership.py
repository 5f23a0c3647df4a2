"""One scheduler among many leads: whoever holds the unexpired lease on the row."""

from __future__ import annotations

from django.conf import settings
from django.db.models import Q
from django.db.models.functions import Now

from jobs.clock import in_seconds
from jobs.models import Leadership

ROLE = "scheduler"


def lead(holder: str) -> bool:
    """Take or renew the leadership; ``False`` while another holds it. Compared by the database's clock."""
    Leadership.objects.get_or_create(name=ROLE)
    free = Leadership.objects.filter(Q(holder=holder) | Q(lease_until__lte=Now()), name=ROLE)
    return free.update(holder=holder, lease_until=in_seconds(settings.CONFIG.leader_lease_seconds)) == 1


def step_down(holder: str) -> None:
    """Leave at once, so that another need not wait for the lease to run out."""
    Leadership.objects.filter(name=ROLE, holder=holder).update(holder="", lease_until=Now())
