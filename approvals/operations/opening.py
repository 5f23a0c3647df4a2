"""A job asks: the first version, or the next."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db.models.functions import Now

from approvals.drafts import Candidate
from approvals.models import Approval, ApprovalDecision, ApprovalVersion
from approvals.operations.moves import move, stamp, tell
from approvals.states import NEXT_VERSION, Decision, Kind, Reason, Status
from jobs import registry
from jobs.clock import in_seconds
from jobs.errors import HandlerMisuse, PermanentError
from jobs.events.ledger import Ledger
from jobs.lookup import one
from jobs.models import Scope
from jobs.operations.waits import await_approval
from jobs.registry import DecisionAsked, DecisionPolicy
from jobs.states import RequestStatus

Columns = dict[str, Any]

UNDECIDED: Columns = {
    "decision": "",
    "decision_kind": "",
    "decided_by": None,
    "decided_at": None,
    "settles_at": None,
    "claimed_by": None,
    "claimed_until": None,
}


def ask(book: Ledger, asked: DecisionAsked) -> dict[str, Any] | None:
    """Record the draft as a version and ask people about it; the ruling at once where nobody needs to be asked.

    The job's row is locked by the caller. ``PermanentError`` past the last version, ``HandlerMisuse`` for a version
    that is not the next one.
    """
    scope = asked.job.scope
    if scope is None:
        raise HandlerMisuse("ctx.decide needs a scope, whose rules say who decides")
    if asked.version > settings.CONFIG.decision_versions:
        raise PermanentError("too_many_versions", f"no decision after {asked.version - 1} versions")
    policy = registry.scope_rules(scope.key).policy(scope.key)
    candidate = Candidate.model_validate(asked.draft)
    approval, reason = _version(asked, scope, policy)
    ApprovalVersion.objects.create(
        approval=approval, number=asked.version, reason=reason, candidates=[candidate.model_dump(mode="json")]
    )
    if not policy.ask:
        await_approval(asked.job, waiting=False)
        return _accept(approval, candidate)
    approval.refresh_from_db()
    _tell(book, asked, approval, reason, candidate)
    return None


def _version(asked: DecisionAsked, scope: Scope, policy: DecisionPolicy) -> tuple[Approval, Reason]:
    """The approval at this version, and why there is one."""
    columns = _columns(policy)
    earlier = one(Approval.objects.filter(job=asked.job, run=asked.job.run, subject=asked.subject))
    if earlier is None and asked.version == 1:
        approval = _new(asked, scope, columns)
        reason = Reason.DRAFT
    elif earlier is not None and asked.version == earlier.version + 1 and earlier.status in NEXT_VERSION:
        approval = earlier
        reason = NEXT_VERSION[earlier.status]
        this = Approval.objects.filter(pk=earlier.pk, version=earlier.version)
        move(this, Status(earlier.status), columns.pop("status"), version=asked.version, **columns)
        approval.version = asked.version
    else:
        raise HandlerMisuse(f"version {asked.version} of {asked.subject!r} is not the next one")
    return approval, reason


def _columns(policy: DecisionPolicy) -> Columns:
    columns = UNDECIDED | {
        "status": Status.PENDING,
        "due_at": in_seconds(policy.due_seconds),
        "default": policy.default,
        "default_reason": policy.default_reason,
        "undo_seconds": policy.undo_seconds,
    }
    if policy.ask:
        return columns
    decided = {"decision": Decision.ACCEPT, "decision_kind": Kind.AUTO, "decided_at": Now()}
    return columns | decided | {"status": Status.SETTLED, "due_at": Now()}


def _new(asked: DecisionAsked, scope: Scope, columns: Columns) -> Approval:
    root = asked.job.root or asked.job
    return Approval.objects.create(
        job=asked.job,
        run=asked.job.run,
        subject=asked.subject,
        scope=scope,
        request=root.public_id,
        kind=root.type,
        action=str(root.payload.get("text", "")),
        requester_id=root.owner_id,
        **columns,
    )


def _accept(approval: Approval, candidate: Candidate) -> dict[str, Any]:
    entry = ApprovalDecision.objects.create(
        approval=approval,
        version=approval.version,
        kind=Kind.AUTO,
        decision=Decision.ACCEPT,
        text=candidate.text,
        changes=[change.model_dump(mode="json") for change in candidate.changes],
    )
    return entry.ruling().model_dump(mode="json")


def _tell(book: Ledger, asked: DecisionAsked, approval: Approval, reason: Reason, candidate: Candidate) -> None:
    data: dict[str, Any] = {
        "approval_id": str(approval.pk),
        "version": approval.version,
        "due_at": stamp(approval.due_at),
    }
    first = approval.version == 1
    draft = candidate.model_dump(mode="json")
    tell(
        book,
        asked.job,
        approval,
        "approval.required" if first else "approval.versioned",
        data if first else data | {"reason": reason.value},
        private={"draft": draft["text"], "changes": draft["changes"]},
        status=RequestStatus.AWAITING_APPROVAL,
    )
