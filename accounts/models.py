"""API tokens and the audit log."""

from typing import Any, Never

from django.conf import settings
from django.contrib.auth.models import User
from django.db import models
from django.db.models.functions import Now
from django.utils import timezone
from uuid6 import uuid7

PREFIX_CHARACTERS = 12


class Scope(models.TextChoices):
    """What a token may be used for. A session may do all of it, as far as its user may."""

    READ = "read", "see games, requests and events"
    PLAY = "play", "act in games"
    DECIDE = "decide", "decide on drafts"
    OPERATE = "operate", "change queues, jobs and schedules, as staff with the right for it"
    METRICS = "metrics", "read metrics and the queues' status, as staff"


class ApiToken(models.Model):
    """A program's key to a user's rights. Only a digest of its secret is kept."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100, help_text="What it is for.")
    prefix = models.CharField(max_length=PREFIX_CHARACTERS, unique=True, editable=False)
    digest = models.CharField(max_length=64, editable=False)
    scopes = models.JSONField[list[str], list[str]](default=list)
    created_at = models.DateTimeField(db_default=Now())
    last_used_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "API token"
        ordering = ("-created_at",)

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    @property
    def usable(self) -> bool:
        """Neither expired nor revoked, and its user is active."""
        in_time = self.expires_at is None or self.expires_at > timezone.now()
        return in_time and self.revoked_at is None and self.user.is_active


class StreamPass(models.Model):
    """Opens one stream, once and soon: for an EventSource, which can send no token. Only a digest is kept.

    It stands for the token or the session that asked for it, and is worth no more than that.
    """

    digest = models.CharField(max_length=64, unique=True, editable=False)
    stream = models.CharField(max_length=200, help_text="The path of the stream that it opens.")
    token = models.ForeignKey(ApiToken, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    session_key = models.CharField(max_length=40, blank=True)
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.stream


class AppendOnly(TypeError):
    """Audit entries are written once: they are neither changed nor deleted."""


class AuditQuerySet(models.QuerySet["AuditEntry"]):
    def update(self, **_: Any) -> Never:
        raise AppendOnly("audit entries can't be changed")

    def delete(self) -> Never:
        raise AppendOnly("audit entries can't be deleted")


class AuditEntry(models.Model):
    """Who did what to which thing. It outlives both: names are copied, and the database refuses changes."""

    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    actor_label = models.CharField(max_length=150)
    action = models.CharField(max_length=100, db_index=True)
    target_type = models.CharField(max_length=100)
    target_id = models.CharField(max_length=100)
    data = models.JSONField[dict[str, Any], dict[str, Any]](default=dict)
    at = models.DateTimeField(db_default=Now(), db_index=True)

    objects = AuditQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "audit entries"
        ordering = ("-id",)
        indexes = (models.Index("target_type", "target_id", name="audit_target"),)

    def __str__(self) -> str:
        return f"{self.actor_label}: {self.action} {self.target_type} {self.target_id}"

    def save(self, **kwargs: Any) -> None:
        """Insert; ``AppendOnly`` if it is already there."""
        if not self._state.adding:
            raise AppendOnly("audit entries can't be changed")
        super().save(**kwargs)

    def delete(self, using: Any = None, keep_parents: bool = False) -> Never:
        raise AppendOnly("audit entries can't be deleted")
