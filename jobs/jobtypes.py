"""What the queue asks of itself."""

from __future__ import annotations

from pydantic import BaseModel

from jobs.registry import JobType


class AlertMessage(BaseModel):
    """An incident as the outside is told of it."""

    incident: int
    alert: str
    subject: str
    detail: str
    opened_at: str


ALERT = JobType(
    name="alert",
    queue="alerts",  # each scheduler serves it too: incidents are told of where no worker lives
    payload=AlertMessage,
    result=dict[str, bool],
    handler="jobs.handlers.alert:run",
    max_attempts=8,
    internal=True,
)
