"""What must hold of games between any two transactions; see ``jobs.invariants``."""

from __future__ import annotations

from django.db.models import Exists, OuterRef

from approvals.models import Approval, ApprovalDecision
from approvals.states import Decision, Kind
from games.jobtypes import DM_ACTION
from games.models import Turn
from jobs.invariants import MOST_ROWS, Row
from jobs.models import Job


def turns_tell_what_was_decided() -> list[Row]:
    """What players read is, word for word, what was accepted, edited or written by those who decide there."""
    asked = Job.objects.filter(public_id=OuterRef("request"))
    approvals = Approval.objects.filter(request=OuterRef("request"))
    holds = ApprovalDecision.objects.filter(approval__request=OuterRef("request"), text=OuterRef("narration"))
    holds = holds.exclude(kind=Kind.UNDO).exclude(decision=Decision.REJECT)
    turns = Turn.objects.exclude(kind=DM_ACTION.name).filter(Exists(asked) | Exists(approvals))
    wrong = turns.exclude(Exists(holds)).values("id", "game", "number", "request")
    return [dict(row) for row in wrong[:MOST_ROWS]]


SAFETY = (turns_tell_what_was_decided,)
