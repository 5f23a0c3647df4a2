"""The record, held against what the client was told."""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from itertools import pairwise
from operator import or_

from django.db.models import Count

from chaos.bounds import LANES
from chaos.client import Log
from chaos.handlers import EFFECT
from chaos.jobtypes import ALONE, PART, TALE
from chaos.steward import Steward
from jobs import invariants
from jobs.models import Job
from jobs.models_events import JobEvent
from jobs.models_limits import Limit
from jobs.models_steps import JobLog
from jobs.operations import permits
from jobs.states import FINAL, Status

ENDS = {
    "hopeless": {Status.DEAD, Status.CANCELLED},
    "called_off": {Status.CANCELLED, Status.COMPLETED},
    "family_called_off": {Status.CANCELLED, Status.COMPLETED},
}
"""How a job may end; every other must be completed."""

Violations = dict[str, list[str]]


def judge(log: Log, steward: Steward) -> Violations:
    """What must not be, by kind; every list is empty when all is well."""
    jobs = {str(job.public_id): job for job in Job.objects.filter(type=TALE.name)}
    return {
        "lost": list(_lost(log, jobs)),
        "doubled": list(_doubled(log, jobs)),
        "disordered": list(_disordered(log, jobs)),
        "gaps": list(_gaps()),
        "wrong ends": list(_wrong_ends(log, jobs)),
        "over a limit": list(steward.exceeded.values()),
        "not under limits": [] if bounded() else ["no job needed a permit, so that nothing was proven of them"],
        "invariants": [f"{name}: {row}" for name, rows in invariants.broken().items() for row in rows],
    }


def bounded() -> int:
    """How many jobs were begun under limits, by which claims were admitted."""
    under = [
        permits.bounded_by(name) for name in Limit.objects.filter(enforced__isnull=False).values_list("key", flat=True)
    ]
    return Job.objects.filter(reduce(or_, under), started_at__isnull=False).count() if under else 0


def _lost(log: Log, jobs: dict[str, Job]) -> Iterator[str]:
    for number, (_, public_id) in log.acknowledged.items():
        if public_id not in jobs:
            yield f"{number} was acknowledged as {public_id} and is not there"
        elif jobs[public_id].status not in FINAL:
            yield f"{number} is still {jobs[public_id].status}"


def _doubled(log: Log, jobs: dict[str, Job]) -> Iterator[str]:
    """Two jobs for one key, or two effects of one job; and a completed job's one effect must be there."""
    known = {public_id for _, public_id in log.acknowledged.values()}
    yield from (f"{number} was acknowledged as another job before" for number in log.contradicted)
    yield from (f"nobody was told of {job}" for public_id, job in jobs.items() if public_id not in known)
    effects = dict(JobLog.objects.filter(text=EFFECT).order_by().values_list("job").annotate(n=Count("id")))
    for pk, status in Job.objects.filter(type__in=[TALE.name, PART.name, ALONE.name]).values_list("pk", "status"):
        if effects.get(pk, 0) > 1 or (status == Status.COMPLETED and effects.get(pk, 0) != 1):
            yield f"job {pk} is {status} with {effects.get(pk, 0)} effects"


def _disordered(log: Log, jobs: dict[str, Job]) -> Iterator[str]:
    happened = JobLog.objects.filter(text=EFFECT, job__type=TALE.name).order_by("id")
    numbers = {jobs[public_id].pk: number for number, (_, public_id) in log.acknowledged.items() if public_id in jobs}
    order = [numbers[pk] for pk in happened.values_list("job", flat=True) if pk in numbers]
    for lane in range(LANES):
        for one, next_one in pairwise(number for number in order if number % LANES == lane):
            if one > next_one:
                yield f"{next_one} took effect after {one}"


def _gaps() -> Iterator[str]:
    seen: dict[int | None, int | None] = {}
    for scope, seq in JobEvent.objects.filter(scope__isnull=False).order_by("scope", "seq").values_list("scope", "seq"):
        if seq != (seen.get(scope) or 0) + 1:
            yield f"scope {scope}: {seq} comes after {seen.get(scope, 0)}"
        seen[scope] = seq


def _wrong_ends(log: Log, jobs: dict[str, Job]) -> Iterator[str]:
    """No fault of ours may cost a job its end: innocent jobs are completed."""
    for number, (tale, public_id) in log.acknowledged.items():
        job = jobs.get(public_id)
        if job and job.status in FINAL and job.status not in ENDS.get(tale.fate, {Status.COMPLETED}):
            yield f"{number} ({tale.fate}) is {job.status}: {job.error}"
