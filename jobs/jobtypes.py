"""What the queue asks of itself."""

from __future__ import annotations

from pydantic import BaseModel

from jobs.registry import JobType


class AlertMessage(BaseModel):
    """An incident as the outside is told of it, and by which way (``jobs.alerts.ways``)."""

    incident: int
    alert: str
    subject: str
    detail: str
    opened_at: str
    way: str = "webhook"


ALERT = JobType(
    name="alert",
    queue="alerts",  # each scheduler serves it too: incidents are told of where no worker lives
    payload=AlertMessage,
    result=dict[str, bool],
    handler="jobs.handlers.alert:run",
    max_attempts=16,
    backoff=(2, 10, 30, 60, 120, 300),  # for close to an hour, and leaving room for others that are to be told
    internal=True,
)
