"""An approval as people see it: what is proposed, what came before, and what they have typed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from django.conf import settings

from approvals.drafts import Candidate
from approvals.forms import DecisionForm, Row, padded, rows_of
from approvals.models import Approval, ApprovalDecision, ApprovalVersion
from approvals.states import Decision, Reason
from jobs import registry
from jobs.errors import QueueError


@dataclass(frozen=True, kw_only=True)
class Card:
    """One approval with its versions and decisions; with ``form`` and ``error`` after a decision was refused."""

    approval: Approval
    label: str
    versions: list[ApprovalVersion]
    decisions: list[ApprovalDecision]
    form: DecisionForm = field(default_factory=DecisionForm)
    error: QueueError | None = None

    @property
    def draft(self) -> Candidate:
        """What the version of this card proposes."""
        return next(version.draft for version in self.versions if version.number == self.approval.version)

    @property
    def earlier(self) -> list[tuple[ApprovalVersion, list[ApprovalDecision]]]:
        """The versions before this one, the latest first, each with what was decided."""
        older = [version for version in self.versions if version.number < self.approval.version]
        return [(version, self.decided(version.number)) for version in reversed(older)]

    @property
    def here(self) -> list[ApprovalDecision]:
        """What was decided on this version."""
        return self.decided(self.approval.version)

    def decided(self, version: int) -> list[ApprovalDecision]:
        """The history of one version."""
        return [entry for entry in self.decisions if entry.version == version]

    @property
    def last(self) -> ApprovalDecision | None:
        """The latest entry of the history."""
        return self.decisions[-1] if self.decisions else None

    @property
    def drafts(self) -> int:
        """How many drafts there were."""
        return sum(version.reason != Reason.STATE_CHANGED for version in self.versions)

    @property
    def may_draft_again(self) -> bool:
        """Whether another draft may be asked for."""
        limits = settings.CONFIG
        return self.drafts < limits.decision_drafts and len(self.versions) < limits.decision_versions

    @property
    def edit_text(self) -> str:
        """The text to edit: the draft's, or what was typed."""
        return self.form.text if self.form.decision == Decision.MODIFY else self.draft.text

    @property
    def edit_rows(self) -> list[Row]:
        """The changes to edit: the draft's, or what was typed."""
        return padded(self.form.rows if self.form.decision == Decision.MODIFY else rows_of(self.draft.changes))

    @property
    def own_text(self) -> str:
        """What was typed to take over."""
        return self.form.text if self.form.decision == Decision.TAKE_OVER else ""

    @property
    def own_rows(self) -> list[Row]:
        """The changes that were typed to take over."""
        return padded(self.form.rows if self.form.decision == Decision.TAKE_OVER else ())

    @property
    def typed(self) -> str:
        """What was written in vain, for copying."""
        return self.form.text if self.form.decision in (Decision.MODIFY, Decision.TAKE_OVER) else self.form.reason

    def refused(self, form: DecisionForm, error: QueueError) -> Card:
        """The same card with what was typed and why it could not be done."""
        return replace(self, form=form, error=error)


def cards_of(approvals: Sequence[Approval]) -> list[Card]:
    """A card for each, with five queries for all and one for each scope's name."""
    ids = [approval.pk for approval in approvals]
    versions: dict[UUID, list[ApprovalVersion]] = {pk: [] for pk in ids}
    decisions: dict[UUID, list[ApprovalDecision]] = {pk: [] for pk in ids}
    for version in ApprovalVersion.objects.filter(approval__in=ids).order_by("number"):
        versions[version.approval_id].append(version)
    for entry in ApprovalDecision.objects.filter(approval__in=ids).order_by("id"):
        decisions[entry.approval_id].append(entry)
    labels = labels_of({approval.scope.key for approval in approvals})
    return [
        Card(
            approval=approval,
            label=labels[approval.scope.key],
            versions=versions[approval.pk],
            decisions=decisions[approval.pk],
        )
        for approval in approvals
    ]


def labels_of(keys: set[str]) -> dict[str, str]:
    """The scopes' names."""
    return {key: registry.scope_rules(key).label(key) for key in sorted(keys)}
