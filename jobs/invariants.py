"""What must hold between any two transactions, as queries over the real tables: each gives the rows that break it.

``safety`` holds at every moment, whatever was killed. ``liveness`` holds while a scheduler runs: nothing lies around
longer than the lease and a few ticks. Rooms above add their own by ``register``. docs/proof.md tells of each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from itertools import product
from typing import Any

from django.conf import settings
from django.db.models import Count, Exists, F, Max, Min, OuterRef, Q, QuerySet, RowRange, Subquery, Value, Window
from django.db.models.functions import Coalesce, Lag, Now

from jobs import limits
from jobs.models import IdempotencyKey, Job, Lane, Scope, Wait
from jobs.models_dependencies import Dependency, IfDead
from jobs.models_events import JobEvent
from jobs.models_limits import Limit
from jobs.models_steps import JobStep
from jobs.operations import permits
from jobs.states import BIRTHS, FINAL, OPEN, TRANSITIONS, Status

MOST_ROWS = 20
"""The most rows that one invariant reports."""

NEVER = 2**62
"""The event id of what has not happened: after all others."""

FINAL_EVENTS = {f"job.{status.value}" for status in FINAL}
REQUEST_ENDS = {"request.completed", "request.rejected", "request.failed", "request.cancelled"}
HELD = {Status.QUEUED, Status.RUNNING, Status.WAITING, Status.SCHEDULED}

Row = dict[str, Any]
Invariant = Callable[[], Iterable[Row]]

_safety: dict[str, Invariant] = {}
_liveness: dict[str, Invariant] = {}


def register(*, safety: Iterable[Invariant] = (), liveness: Iterable[Invariant] = ()) -> None:
    """Have these checked too, under the names of the functions."""
    _safety.update((check.__name__, check) for check in safety)
    _liveness.update((check.__name__, check) for check in liveness)


def broken(*, liveness: bool = True) -> dict[str, list[Row]]:
    """The rows that break an invariant, by its name; empty when all hold."""
    found = {name: breaking(name) for name in (names() if liveness else _safety)}
    return {name: rows for name, rows in found.items() if rows}


def breaking(name: str) -> list[Row]:
    """The rows that break this invariant."""
    return list((_safety | _liveness)[name]())


def names() -> list[str]:
    """Every invariant that is checked."""
    return [*_safety, *_liveness]


def _rows(found: QuerySet[Any], *columns: str) -> list[Row]:
    return list(found.values(*columns)[:MOST_ROWS])


def _counted(events: QuerySet[JobEvent], column: str = "id") -> Coalesce:
    """How many different values of ``column`` the events of a job have."""
    counted = events.order_by().values("job").annotate(n=Count(column, distinct=True)).values("n")
    return Coalesce(Subquery(counted), 0)


_ENDED_OTHERWISE = (Q(status__in=FINAL) & ~Q(ends=1)) | (Q(status__in=OPEN) & ~Q(ends=0))

# -- one job -----------------------------------------------------------------------------------------------------


def ended_is_told_once() -> list[Row]:
    """A job has the one event that ends its run if it has ended, and none if it has not."""
    ends = JobEvent.objects.filter(job=OuterRef("pk"), run=OuterRef("run"), event__in=FINAL_EVENTS)
    return _rows(Job.objects.annotate(ends=_counted(ends)).filter(_ENDED_OTHERWISE), "id", "status", "run", "ends")


def request_end_is_told_once() -> list[Row]:
    """The stream of a request's scope has the one event that ends its run, when it has ended."""
    ends = JobEvent.objects.filter(job=OuterRef("pk"), run=OuterRef("run"), event__in=REQUEST_ENDS)
    roots = Job.objects.roots().filter(scope__isnull=False).annotate(ends=_counted(ends))
    return _rows(roots.filter(_ENDED_OTHERWISE), "id", "status", "run", "ends")


def request_start_is_told_once() -> list[Row]:
    """A run of a request is queued once and begun once, however often it was claimed."""
    told = JobEvent.objects.filter(job__isnull=False, event__in=["request.queued", "request.processing"]).order_by()
    return _rows(told.values("job", "run", "event").annotate(n=Count("id")).filter(n__gt=1), "job", "run", "event", "n")


def every_claim_has_its_token() -> list[Row]:
    """Tokens count the claims: as many ``job.started`` as the token says, none of them twice."""
    claims = JobEvent.objects.filter(job=OuterRef("pk"), event="job.started")
    jobs = Job.objects.annotate(claims=_counted(claims), tokens=_counted(claims, "token"))
    return _rows(jobs.exclude(claims=F("token"), tokens=F("token")), "id", "token", "claims", "tokens")


def history_is_legal() -> list[Row]:
    """One event of a job's timeline follows another as ``states.TRANSITIONS`` allows."""
    moves = JobEvent.objects.filter(event__in=_leads_to()).annotate(
        before=Window(Lag("event"), partition_by=[F("job")], order_by=F("id").asc())
    )
    pairs = moves.order_by().values_list("before", "event").distinct()
    return [{"before": before, "event": event} for before, event in pairs if not _may_follow(before, event)]


def history_ends_where_the_job_stands() -> list[Row]:
    """The last event of a job's timeline leads to the status that its row has."""
    last = JobEvent.objects.filter(job=OuterRef("pk"), event__in=_leads_to()).order_by("-id").values("event")[:1]
    right = Q()
    for event, statuses in _leads_to().items():
        right |= Q(last=event, status__in=statuses)
    return _rows(Job.objects.annotate(last=Subquery(last)).exclude(right), "id", "status", "last")


def _leads_to() -> dict[str, set[Status]]:
    """The statuses that each event of the timeline may have led to."""
    leads: dict[str, set[Status]] = {event: {status} for status, event in BIRTHS.items()}
    for (_, to), events in TRANSITIONS.items():
        for event in events:
            leads.setdefault(event, set()).add(to)
    return leads


def _may_follow(before: str | None, event: str) -> bool:
    if before is None:
        return event in BIRTHS.values()
    leads = _leads_to()
    pairs = product(leads[before], leads[event])
    return any(event in TRANSITIONS.get(pair, ()) for pair in pairs)


def columns_fit_the_status() -> list[Row]:
    """A worker holds exactly what runs; tickets are for what may run; the time of the end is set at the end;
    what was called off only runs on, or waits for what it called."""
    wrong = (
        (Q(worker_id__isnull=False) & ~Q(status=Status.RUNNING))
        | (Q(ticketed=True) & ~Q(status=Status.QUEUED, held_back_by=""))
        | (~Q(held_back_by="") & ~Q(status=Status.QUEUED))
        | Q(finished_at__isnull=False, status__in=OPEN)
        | Q(finished_at__isnull=True, status__in=FINAL)
        | Q(awaiting_approval=True, status__in=FINAL)
        | Q(cancel_requested_at__isnull=False, status__in=OPEN - {Status.RUNNING, Status.WAITING})
        | Q(attempt__gt=F("max_attempts"))
    )
    return _rows(Job.objects.filter(wrong), "id", "status", "worker_id", "ticketed", "attempt", "finished_at")


def steps_are_of_attempts_that_were() -> list[Row]:
    """No step was stored for an attempt or a run that the job has not begun."""
    wrong = Q(run__gt=F("job__run")) | Q(run=F("job__run"), attempt__gt=F("job__attempt"))
    return _rows(JobStep.objects.filter(wrong), "id", "job", "name", "run", "attempt")


# -- lanes -------------------------------------------------------------------------------------------------------


def places_are_unique() -> list[Row]:
    """Nobody shares a place in a lane, and the lane knows how many it gave out."""
    placed = Job.objects.filter(place__isnull=False).order_by()
    shared = placed.values("lane", "place").annotate(n=Count("id")).filter(n__gt=1)
    beyond = Lane.objects.annotate(last=Max("jobs__place")).filter(last__gte=F("next_place"))
    return _rows(shared, "lane", "place", "n") or _rows(beyond, "id", "next_place", "last")


def only_heads_go_on() -> list[Row]:
    """In a lane only the first that has not ended is anything but pending."""
    ahead = Job.objects.open().filter(lane=OuterRef("lane"), place__lt=OuterRef("place"))
    return _rows(
        Job.objects.filter(Exists(ahead), status__in=HELD, place__isnull=False), "id", "lane", "place", "status"
    )


def nothing_is_pending_for_nothing() -> list[Row]:
    """What is pending has someone ahead in its lane or depends on a job that has not ended or was lost."""
    ahead = Job.objects.open().filter(lane=OuterRef("lane"), place__lt=OuterRef("place"))
    lost = Q(on__status__in=FINAL - {Status.COMPLETED}, if_dead=IfDead.CANCEL)
    ended_elsewhere = Q(job__lane__isnull=False)  # left to the service "due" for a moment
    needs = Dependency.objects.filter(Q(on__status__in=OPEN) | lost | ended_elsewhere, job=OuterRef("pk"))
    stuck = Job.objects.filter(status=Status.PENDING).exclude(Exists(ahead)).exclude(Exists(needs))
    return _rows(stuck, "id", "lane", "place")


def lanes_keep_their_order() -> list[Row]:
    """Nobody in a lane was started before everyone ahead had ended."""
    now = JobEvent.objects.filter(job=OuterRef("pk"), run=OuterRef("run")).order_by().values("job")
    started = now.filter(event="job.started").annotate(at=Min("id")).values("at")
    over = now.filter(event__in=FINAL_EVENTS).annotate(at=Max("id")).values("at")
    placed = Job.objects.filter(place__isnull=False).annotate(began=Subquery(started), over=Subquery(over))
    ahead = Window(
        Max(Coalesce("over", NEVER)), partition_by=[F("lane")], order_by=F("place").asc(), frame=RowRange(end=-1)
    )
    wrong = placed.annotate(before=ahead).filter(began__isnull=False, before__gt=F("began"))
    return _rows(wrong, "id", "lane", "place", "began", "before")


# -- families and streams ----------------------------------------------------------------------------------------


def nobody_waits_for_nothing() -> list[Row]:
    """What waits has a child that has not ended, a time or an answer to wait for, or a person who decides.

    Once it was called off and its last child has ended, it ends in a transaction of its own.
    """
    children = Job.objects.open().filter(parent=OuterRef("pk"))
    waits = Wait.objects.open().filter(job=OuterRef("pk"), run=OuterRef("run"))
    waiting = Job.objects.filter(status=Status.WAITING, awaiting_approval=False, cancel_requested_at=None)
    stuck = waiting.exclude(Exists(children)).exclude(Exists(waits))
    stuck = stuck.exclude(root__awaiting_approval=True)
    return _rows(stuck, "id", "type")


def only_who_waits_is_woken() -> list[Row]:
    """What a job is suspended for is open only as long as that run of it waits."""
    open_ = Wait.objects.open().filter(awaited_at__isnull=False)
    return _rows(open_.exclude(job__status=Status.WAITING, run=F("job__run")), "id", "job", "name", "job__status")


def children_end_first() -> list[Row]:
    """No child outlives its parent, and it is its parent's owner's and scope's."""
    orphan = Q(status__in=OPEN, parent__status__in=FINAL)
    strange = ~Q(scope=F("parent__scope")) & (Q(scope__isnull=False) | Q(parent__scope__isnull=False))
    foreign = ~Q(owner=F("parent__owner")) & (Q(owner__isnull=False) | Q(parent__owner__isnull=False))
    wrong = Job.objects.filter(parent__isnull=False).filter(orphan | strange | foreign)
    return _rows(wrong, "id", "status", "parent", "parent__status", "scope", "owner")


def streams_have_no_gaps() -> list[Row]:
    """A scope's numbers run from 1 to its head without a gap, in the order in which they were written."""
    counted = Scope.objects.annotate(n=Count("events"), first=Min("events__seq"), last=Max("events__seq"))
    wrong = counted.exclude(n=0, head=0).exclude(n=F("head"), first=1, last=F("head"))
    before = Window(Lag("id"), partition_by=[F("scope")], order_by=F("seq").asc())
    order = JobEvent.objects.filter(scope__isnull=False).annotate(before=before).filter(before__gt=F("id"))
    return _rows(wrong, "id", "key", "head", "n", "first", "last") or _rows(order, "id", "scope", "seq", "before")


def events_stay_in_their_scope() -> list[Row]:
    """A numbered event of a job is in that job's scope and names its request."""
    numbered = JobEvent.objects.filter(scope__isnull=False, job__isnull=False)
    strange = ~Q(scope=F("job__scope")) | ~Q(request=F("job__public_id"))
    return _rows(numbered.filter(strange), "id", "event", "scope", "job", "job__scope")


def keys_belong_to_their_owners() -> list[Row]:
    """The job of an idempotency key is its owner's, or a unique one, which all who ask share."""
    alone = IdempotencyKey.objects.filter(job__unique_key="")
    return _rows(alone.exclude(owner=F("job__owner")), "id", "owner", "job", "job__owner")


# -- liveness ----------------------------------------------------------------------------------------------------


def ago() -> Any:
    """Longer ago than anything that a scheduler sees to may lie around."""
    config = settings.CONFIG
    seconds = config.lease_seconds + config.leader_lease_seconds + 5 * config.tick_seconds
    return Now() - Value(timedelta(seconds=seconds))


def the_dead_are_found() -> list[Row]:
    """No job is held by a worker whose lease ran out long ago."""
    held = Job.objects.filter(status=Status.RUNNING, worker__lease_until__lt=ago())
    return _rows(held, "id", "worker", "worker__lease_until")


def what_is_due_is_done() -> list[Row]:
    """No job is scheduled for, or expires at, a time long past."""
    due = Q(status=Status.SCHEDULED, scheduled_at__lt=ago())
    late = Q(status__in=OPEN, started_at=None, expires_at__lt=ago())
    return _rows(Job.objects.filter(due | late), "id", "status", "scheduled_at", "expires_at")


def nobody_oversleeps() -> list[Row]:
    """No sleep or wait is open whose time was up long ago."""
    late = Wait.objects.open().filter(due_at__lt=ago())
    return _rows(late, "id", "job", "name", "due_at")


def permits_stay_within_limits() -> list[Row]:
    """No more jobs run in a queue, and no more of a concurrency key are under way, than its limit allowed.

    Who was there when a limit was lowered may stay; nobody is let in before enough of them have gone.
    """
    enforced = {limit.key: limit for limit in Limit.objects.filter(enforced__isnull=False) if limits.most(limit.key)}
    held = {name: holders(name) for name in enforced}
    full = {name: limit for name, limit in enforced.items() if held[name] > (limit.enforced or 0)}
    return [
        {"limit": name, "most": limit.enforced, "held": held[name]}
        for name, limit in full.items()
        if permits.given_since(name, limit.enforced_since)
    ]


def holders(name: str) -> int:
    """How many jobs hold a permit of a limit: not by the statement that admits them, which is what is checked here."""
    begun = Q(status__in=OPEN, started_at__isnull=False)
    holding = Q(status=Status.RUNNING) if name.startswith(limits.QUEUE) else begun
    return Job.objects.filter(permits.bounded_by(name), holding).count()


register(
    safety=(
        ended_is_told_once,
        request_end_is_told_once,
        request_start_is_told_once,
        every_claim_has_its_token,
        history_is_legal,
        history_ends_where_the_job_stands,
        columns_fit_the_status,
        steps_are_of_attempts_that_were,
        places_are_unique,
        only_heads_go_on,
        nothing_is_pending_for_nothing,
        lanes_keep_their_order,
        nobody_waits_for_nothing,
        only_who_waits_is_woken,
        children_end_first,
        streams_have_no_gaps,
        events_stay_in_their_scope,
        keys_belong_to_their_owners,
        permits_stay_within_limits,
    ),
    liveness=(the_dead_are_found, what_is_due_is_done, nobody_oversleeps),
)
