"""The verbs that change approvals.

Lock order: the job before its approval. Every change of status is one compare-and-set, so of any number of people,
schedulers and crashes exactly one gets there, and the others are told who did.
"""

from approvals.operations.claiming import claim, release_claim
from approvals.operations.deciding import decide
from approvals.operations.expiring import expire_due
from approvals.operations.opening import ask
from approvals.operations.settling import settle_due
from approvals.operations.undoing import undo
from approvals.operations.withdrawing import withdraw

__all__ = ["ask", "claim", "decide", "expire_due", "release_claim", "settle_due", "undo", "withdraw"]
