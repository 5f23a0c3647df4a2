"""Times by the database's clock, the only one that all processes share."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import DurationField, QuerySet, Value
from django.db.models.expressions import Combinable
from django.db.models.functions import Now


def in_seconds(seconds: float) -> Combinable:
    """That long from now."""
    return Now() + Value(timedelta(seconds=seconds), output_field=DurationField())


def until_due(waiting: QuerySet[Any], column: str) -> float:
    """Seconds until the scheduler should look again at rows that fall due at the time in this column.

    That is a moment after the first of those that are not due yet, so that those beside it come with it, and at most
    a tick. To be asked before what is due is dealt with: what falls due in between is seen by that, or by the next
    look.
    """
    coming = waiting.filter(**{f"{column}__gt": Now()}).order_by(column).values_list(column, Now())
    tick: float = settings.CONFIG.tick_seconds
    for at, now in coming[:1]:
        seconds: float = (at - now).total_seconds() + settings.CONFIG.due_seconds
        return min(tick, seconds)
    return tick
