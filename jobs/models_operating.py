"""What operators say about the queue: which queues and workers take no jobs for now."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class ControlKind(models.TextChoices):
    QUEUE = "queue"
    WORKER = "worker"


class QueueControl(models.Model):
    """An operator's word about a queue or a worker, by its name; it stands until it is taken back.

    Workers obey within ``tick_seconds``, those that start later too.
    """

    kind = models.CharField(max_length=10, choices=ControlKind.choices)
    name = models.CharField(max_length=200)
    paused_at = models.DateTimeField(null=True, blank=True)
    paused_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        constraints = (models.UniqueConstraint("kind", "name", name="queue_control_once"),)
        permissions = (
            ("pause_queuecontrol", "Can pause and resume queues and workers"),
            ("drain_queuecontrol", "Can call off everything that waits in a queue"),
            ("clean_queuecontrol", "Can remove ended jobs from a queue"),
        )

    def __str__(self) -> str:
        return self.public_id

    @property
    def public_id(self) -> str:
        """The name it goes by outside, as in ``queue:llm``."""
        return f"{self.kind}:{self.name}"
