"""What must hold of approvals between any two transactions; see ``jobs.invariants``."""

from __future__ import annotations

from typing import Any

from django.db.models import CharField, Count, Exists, F, Max, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast, Concat

from approvals.models import Approval, ApprovalDecision
from approvals.states import OPEN, Kind, Status
from jobs.invariants import MOST_ROWS, Row, ago
from jobs.models import Job
from jobs.models_steps import JobStep, StepKind
from jobs.states import OPEN as JOB_OPEN
from jobs.states import Status as JobStatus


def _rows(found: QuerySet[Any], *columns: str) -> list[Row]:
    return list(found.values(*columns)[:MOST_ROWS])


def approvals_end_with_their_jobs() -> list[Row]:
    """Nothing is left to decide for a run that has ended."""
    over = Q(job=None) | ~Q(job__status__in=JOB_OPEN) | ~Q(run=F("job__run"))
    return _rows(Approval.objects.filter(over, status__in=OPEN), "id", "status", "job", "job__status")


def people_are_asked_by_waiting_jobs() -> list[Row]:
    """Where a person is asked the job waits for it, and a job that waits for a person has asked."""
    asked = Approval.objects.filter(status__in=(Status.PENDING, Status.DECIDED))
    known = Q(job__awaiting_approval=True) | Q(job__root__awaiting_approval=True)
    idle = asked.exclude(known, job__status=JobStatus.WAITING)
    mine = Approval.objects.filter(job=OuterRef("pk"), run=OuterRef("run"), status__in=OPEN)
    children = Job.objects.open().filter(parent=OuterRef("pk"))
    waits = Job.objects.filter(status=JobStatus.WAITING, awaiting_approval=True)
    stuck = waits.exclude(Exists(mine)).exclude(Exists(children))
    return _rows(idle, "id", "status", "job", "job__status") or _rows(stuck, "id", "status", "run")


def versions_have_no_gaps() -> list[Row]:
    """Every version up to the current one is kept."""
    counted = Approval.objects.annotate(n=Count("versions"), last=Max("versions__number"))
    return _rows(counted.exclude(n=F("version"), last=F("version")), "id", "version", "n", "last")


def a_version_is_decided_once() -> list[Row]:
    """Of one version there is at most one decision that was not taken back."""
    entries = ApprovalDecision.objects.order_by().values("approval", "version")
    undone = Count("id", filter=Q(kind=Kind.UNDO))
    counted = entries.annotate(undone=undone, decided=Count("id") - undone)
    return _rows(counted.filter(decided__gt=F("undone") + 1), "approval", "version", "decided", "undone")


def what_holds_was_decided() -> list[Row]:
    """An approval that is decided, settled or expired has the entry in its history that says so."""
    holds = Approval.objects.filter(status__in=(Status.DECIDED, Status.SETTLED, Status.EXPIRED))
    entries = ApprovalDecision.objects.filter(
        approval=OuterRef("pk"), version=OuterRef("version"), decision=OuterRef("decision")
    )
    return _rows(holds.exclude(Exists(entries)), "id", "status", "version", "decision")


def rulings_are_what_was_decided() -> list[Row]:
    """What a handler went on with is what was decided on that version, and was not taken back."""
    told = JobStep.objects.filter(kind=StepKind.DECIDE, error__isnull=True).exclude(name__endswith=".confirmed")
    told = told.annotate(ruled=KeyTextTransform("decision", "result"), said=KeyTextTransform("text", "result"))
    named = Concat("approval__subject", Value("."), Cast("version", CharField()), output_field=CharField())
    entries = ApprovalDecision.objects.filter(approval__job=OuterRef("job"), approval__run=OuterRef("run"))
    last = entries.annotate(named=named).filter(named=OuterRef("name")).order_by("-id")
    stands = {f"last_{column}": Subquery(last.values(column)[:1]) for column in ("kind", "decision", "text")}
    right = Q(last_decision=F("ruled"), last_text=F("said")) & ~Q(last_kind=Kind.UNDO)
    return _rows(told.annotate(**stands).exclude(right), "id", "job", "name", "ruled", "last_decision")


def approvals_stay_in_their_scope() -> list[Row]:
    """An approval is in its job's scope."""
    return _rows(Approval.objects.filter(job__isnull=False).exclude(scope=F("job__scope")), "id", "scope", "job__scope")


def no_decision_is_overdue() -> list[Row]:
    """Nobody is asked, and no decision can be taken back, long after its time."""
    late = Q(status=Status.PENDING, due_at__lt=ago()) | Q(status=Status.DECIDED, settles_at__lt=ago())
    return _rows(Approval.objects.filter(late), "id", "status", "due_at", "settles_at")


SAFETY = (
    approvals_end_with_their_jobs,
    people_are_asked_by_waiting_jobs,
    versions_have_no_gaps,
    a_version_is_decided_once,
    what_holds_was_decided,
    rulings_are_what_was_decided,
    approvals_stay_in_their_scope,
)
LIVENESS = (no_decision_is_overdue,)
