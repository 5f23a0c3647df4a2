"""What people were asked to decide, every version they saw, and what was decided. Facts and questions only.

Approvals outlive their jobs: what a reader needs is copied, and versions and decisions are never changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Never

from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from uuid6 import uuid7

from accounts.models import AppendOnly
from approvals.drafts import Candidate
from approvals.states import OPEN, Decision, Kind, Reason, Status
from jobs import registry
from jobs.models import Job, Scope
from jobs.results import Ruling

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser, AnonymousUser

Json = dict[str, Any]


class ApprovalQuerySet(models.QuerySet["Approval"]):
    def pending(self) -> ApprovalQuerySet:
        """Waiting for a person."""
        return self.filter(status=Status.PENDING)

    def past(self) -> ApprovalQuerySet:
        """Everything else."""
        return self.exclude(status=Status.PENDING)

    def overdue(self) -> ApprovalQuerySet:
        """Waiting for a person for too long, by the database's clock."""
        return self.pending().filter(due_at__lte=Now())

    def decided(self) -> ApprovalQuerySet:
        """Decided, and not settled yet."""
        return self.filter(status=Status.DECIDED)

    def unsettled(self) -> ApprovalQuerySet:
        """Decided, and the time to take it back is over."""
        return self.decided().filter(settles_at__lte=Now())

    def unclaimed_by_others(self, user: AbstractBaseUser) -> ApprovalQuerySet:
        """Those that no one else holds a claim on."""
        free = models.Q(claimed_by=None) | models.Q(claimed_until__lt=Now())
        return self.filter(free | models.Q(claimed_by=user.pk))

    def decidable_by(self, user: AbstractBaseUser | AnonymousUser) -> ApprovalQuerySet:
        """Those in scopes in which this user decides."""
        mine = models.Q(pk__in=[])
        for kind, rules in registry.scope_kinds().items():
            mine |= models.Q(scope__key__startswith=f"{kind}:", scope__key__in=rules.decidable(user))
        return self.filter(mine)


class Approval(models.Model):
    """One question put to people by one run of a job: what became of it, and when it is due.

    ``default`` is what is recorded as the system's at ``due_at``; ``undo_seconds`` is how long a decision can be
    taken back, until ``settles_at``. The decision's columns repeat the last entry of the history, for lists.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    job = models.ForeignKey(Job, null=True, on_delete=models.SET_NULL, related_name="approvals")
    run = models.PositiveIntegerField()
    subject = models.CharField(max_length=100)
    scope = models.ForeignKey(Scope, on_delete=models.PROTECT, related_name="approvals")
    request = models.UUIDField(db_index=True)
    kind = models.CharField(max_length=100)
    action = models.TextField(blank=True)
    requester = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )

    status = models.CharField(max_length=10, choices=Status.choices)
    version = models.PositiveIntegerField(default=1)
    due_at = models.DateTimeField()
    default = models.CharField(max_length=10, choices=Decision.choices)
    default_reason = models.CharField(max_length=500, blank=True)
    undo_seconds = models.FloatField(default=0)
    settles_at = models.DateTimeField(null=True, blank=True)

    decision = models.CharField(max_length=10, choices=Decision.choices, blank=True)
    decision_kind = models.CharField(max_length=10, choices=Kind.choices, blank=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    decided_at = models.DateTimeField(null=True, blank=True)

    claimed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    claimed_until = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now())

    objects = ApprovalQuerySet.as_manager()

    class Meta:
        indexes = (
            models.Index(fields=("due_at", "id"), name="approval_due", condition=models.Q(status="pending")),
            models.Index(fields=("settles_at",), name="approval_settles", condition=models.Q(status="decided")),
            models.Index(fields=("scope", "id"), name="approval_scope"),
        )
        constraints = (
            models.UniqueConstraint(fields=("job", "run", "subject"), name="approval_once"),
            models.CheckConstraint(condition=models.Q(status__in=Status.values), name="approval_status_known"),
            models.CheckConstraint(
                condition=~models.Q(status="decided") | models.Q(settles_at__isnull=False),
                name="approval_decided_settles",
            ),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.request}, version {self.version}"

    @property
    def is_open(self) -> bool:
        """Whether something may still become of it."""
        return self.status in OPEN

    @property
    def is_pending(self) -> bool:
        """Whether a person is asked."""
        return self.status == Status.PENDING


class AppendOnlyQuerySet(models.QuerySet[Any]):
    def update(self, **_: Any) -> Never:
        raise AppendOnly("the history of an approval can't be changed")

    def delete(self) -> Never:
        raise AppendOnly("the history of an approval can't be deleted")


class History(models.Model):
    """A row that is written once. The database refuses changes too."""

    objects = AppendOnlyQuerySet.as_manager()

    class Meta:
        abstract = True

    def save(self, **kwargs: Any) -> None:
        """Insert; ``AppendOnly`` if it is already there."""
        if not self._state.adding:
            raise AppendOnly("the history of an approval can't be changed")
        super().save(**kwargs)

    def delete(self, using: Any = None, keep_parents: bool = False) -> Never:
        raise AppendOnly("the history of an approval can't be deleted")


class ApprovalVersion(History):
    """What people were shown: one or more candidates to choose from."""

    approval = models.ForeignKey(Approval, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    reason = models.CharField(max_length=20, choices=Reason.choices)
    candidates = models.JSONField[list[Json], list[Json]]()
    at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ("number",)
        constraints = (models.UniqueConstraint(fields=("approval", "number"), name="approval_version_once"),)

    def __str__(self) -> str:
        return f"version {self.number}"

    @property
    def draft(self) -> Candidate:
        """What it proposes first."""
        return Candidate.model_validate(self.candidates[0])


class ApprovalDecision(History):
    """An entry of the history: a decision, or one taken back. ``by`` is empty for the system.

    ``text`` and ``changes`` are what holds by it; ``diff`` is what was edited of the draft.
    """

    approval = models.ForeignKey(Approval, on_delete=models.PROTECT, related_name="decisions")
    version = models.PositiveIntegerField()
    kind = models.CharField(max_length=10, choices=Kind.choices)
    decision = models.CharField(max_length=10, choices=Decision.choices)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    by_label = models.CharField(max_length=150, blank=True)
    text = models.TextField(blank=True)
    changes = models.JSONField[list[Json], list[Json]](default=list)
    reason = models.TextField(blank=True)
    regenerate = models.BooleanField(default=False)
    diff = models.JSONField[Json | None, Json | None](null=True, blank=True)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ("id",)

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.get_decision_display()}"

    def ruling(self) -> Ruling:
        """What the job is told."""
        return Ruling.model_validate(
            {
                "decision": self.decision,
                "version": self.version,
                "text": self.text,
                "changes": self.changes,
                "reason": self.reason,
                "regenerate": self.regenerate,
                "by": self.by_label,
            }
        )
