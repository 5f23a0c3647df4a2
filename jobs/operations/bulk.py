"""One action on many jobs: each for itself, so that one refusal stops none of the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from uuid6 import uuid7

from jobs.errors import QueueError
from jobs.models import Job, JobQuerySet
from jobs.operations import operating
from jobs.operations.operator import Operator
from jobs.states import Status

Act = Callable[[int, Operator], object]


@dataclass
class Done:
    """How many it was done to, and why not to the others: the number of jobs for each reason."""

    count: int = 0
    refused: dict[str, int] = field(default_factory=dict)


def each(job_ids: Iterable[int], act: Act, *, by: Operator) -> Done:
    """Act on each of these jobs; all entries in the audit log carry the same ``bulk``."""
    done, by = Done(), replace(by, bulk=str(uuid7()))
    for job_id in job_ids:
        try:
            act(job_id, by)
        except QueueError as error:
            done.refused[error.detail] = done.refused.get(error.detail, 0) + 1
        else:
            done.count += 1
    return done


VERBS: dict[str, Act] = {
    "cancel": lambda job_id, by: operating.cancel(job_id, by=by),
    "revive": lambda job_id, by: operating.revive(job_id, by=by),
    "promote": lambda job_id, by: operating.promote(job_id, by=by),
    "remove": lambda job_id, by: operating.remove(job_id, by=by),
}
"""What can be done to all requests that match; each needs the right of its name."""


def matching(verb: str, found: JobQuerySet, *, limit: int, by: Operator) -> Done:
    """Do it to the oldest ``limit`` of these requests; what requests called goes with them."""
    ids = list(found.filter(parent=None).order_by("public_id").values_list("pk", flat=True)[:limit])
    return each(ids, VERBS[verb], by=by)


def revive_alike(fingerprint: str, *, limit: int, by: Operator) -> Done:
    """Revive up to ``limit`` dead requests of one cause, the oldest first: a few to see whether the cause is gone."""
    dead = Job.objects.roots().filter(status=Status.DEAD, fingerprint=fingerprint).order_by("pk")
    ids = list(dead.values_list("pk", flat=True)[:limit])
    return each(ids, lambda job_id, by: operating.revive(job_id, by=by), by=by)
