"""Whether a job would wait for itself: by what it depends on, and by who is before it in a lane."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import Q

from jobs.models import Job
from jobs.models_dependencies import Dependency
from jobs.states import OPEN


def waits_for_who_joins(lane: int, jobs: Iterable[int]) -> bool:
    """Whether one of these jobs is one that has yet to take its place in this lane, or waits for such a one.

    That one will stand behind all that are there by then, so none of those may wait for it. Only dependencies are
    followed from job to job, and in a lane those of all who are before.
    """
    seen, front = set[int](), set(jobs)
    while front:
        seen |= front
        places = set(Job.objects.open().filter(pk__in=front, lane__isnull=False).values_list("lane", "place"))
        if (lane, None) in places:
            return True
        asking = Q(job__in=front)
        for where, place in places:
            asking |= Q(job__lane=where) if place is None else Q(job__lane=where, job__place__lt=place)
        found = Dependency.objects.filter(asking, job__status__in=OPEN, on__status__in=OPEN)
        front = set(found.values_list("on", flat=True)) - seen
    return False
