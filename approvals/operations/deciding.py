"""A person decides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models.functions import Now

from accounts import audit
from approvals.models import Approval, ApprovalDecision, ApprovalVersion
from approvals.operations.conflicts import conflict
from approvals.operations.moves import locked_job, move, resume, tell
from approvals.rules import find
from approvals.states import Kind, Reason, Status
from approvals.verdicts import Said, Verdict, judge
from jobs.changes import Change
from jobs.clock import in_seconds
from jobs.errors import Invalid
from jobs.events.ledger import Ledger, ledger
from jobs.failpoints import failpoint
from jobs.models import Job
from jobs.states import RequestStatus

audit.register_action("approval.decided")


def decide(
    *,
    user: User,
    approval_id: UUID,
    version: int,
    decision: str,
    text: str | None = None,
    changes: Sequence[Change | dict[str, Any]] | None = None,
    reason: str = "",
    regenerate: bool = False,
) -> Approval:
    """Decide on the version that the user was shown. Of several at once the first wins.

    ``modify`` takes ``text`` and, unless the draft's are to stay, ``changes``; so does ``take_over``, without the
    draft's. ``reject`` takes ``reason``; with ``regenerate`` another draft is made with it. Without an undo window the
    job goes on at once, else at ``settles_at``.

    ``NotFound`` and ``Forbidden`` by the scope's rules; ``Invalid`` with the path of every mistake, or with code
    ``no_more_drafts``; ``Conflict`` with code ``already_decided``, ``stale_version`` or ``claimed``, and with ``by``,
    ``decision`` and the current ``version``.
    """
    approval = find(user, approval_id)
    shown = ApprovalVersion.objects.filter(approval=approval, number=version).first()
    if shown is None:
        raise conflict(approval_id, version)
    said = Said(decision=decision, text=text, changes=changes, reason=reason, regenerate=regenerate)
    entry = _entry(approval, version, user, judge(said, shown.draft))
    with ledger() as book:
        job = locked_job(approval)
        if job is None or not _take(approval, entry):
            raise conflict(approval_id, version)
        if regenerate:
            _require_drafts_left(approval)
        approval.refresh_from_db()
        _record(book, job, approval, entry)
        failpoint("in_decision")
    failpoint("after_decision")
    return approval


def _entry(approval: Approval, version: int, user: User, verdict: Verdict) -> ApprovalDecision:
    return ApprovalDecision(
        approval=approval,
        version=version,
        kind=Kind.DECIDE,
        decision=verdict.decision,
        by=user,
        by_label=user.get_username(),
        text=verdict.text,
        changes=[change.model_dump(mode="json") for change in verdict.changes],
        reason=verdict.reason,
        regenerate=verdict.regenerate,
        diff=verdict.diff,
    )


def _take(approval: Approval, entry: ApprovalDecision) -> bool:
    """Decide and claim in one statement, if this version still waits and nobody else holds a claim on it."""
    assert entry.by is not None
    mine = Approval.objects.filter(pk=approval.pk, version=entry.version).unclaimed_by_others(entry.by)
    return move(
        mine,
        Status.PENDING,
        _target(approval, entry),
        decision=entry.decision,
        decision_kind=entry.kind,
        decided_by=entry.by,
        decided_at=Now(),
        settles_at=in_seconds(approval.undo_seconds),
        claimed_by=entry.by,
        claimed_until=in_seconds(settings.CONFIG.claim_seconds),
    )


def _target(approval: Approval, entry: ApprovalDecision) -> Status:
    if entry.regenerate:
        return Status.DRAFTING
    return Status.DECIDED if approval.undo_seconds else Status.SETTLED


def _require_drafts_left(approval: Approval) -> None:
    versions = ApprovalVersion.objects.filter(approval=approval)
    drafts = versions.exclude(reason=Reason.STATE_CHANGED).count()
    if drafts >= settings.CONFIG.decision_drafts or versions.count() >= settings.CONFIG.decision_versions:
        raise Invalid(f"there were {drafts} drafts, and no more are made: decide on this one", code="no_more_drafts")


def _record(book: Ledger, job: Job, approval: Approval, entry: ApprovalDecision) -> None:
    entry.save()
    said = {"version": entry.version, "decision": entry.decision, "regenerate": entry.regenerate}
    audit.record("approval.decided", actor=entry.by, on=approval, **said)
    settled = approval.status == Status.SETTLED
    tell(
        book,
        job,
        approval,
        "approval.decided",
        {"decision": entry.decision},
        private={"by": entry.by_label, "reason": entry.reason, "regenerate": entry.regenerate, "diff": entry.diff},
        status=RequestStatus.PROCESSING if settled else RequestStatus.AWAITING_APPROVAL,
    )
    if approval.status != Status.DECIDED:
        resume(book, job, approval, entry, settled=settled)
