"""Whether a request is let into its queue: how fast one may ask, and how much of one's own may wait.

Rates are kept by the generic cell rate algorithm (ITU-T I.371): a bucket's row holds the time until which what was
asked for is used up. Nothing is written for a request that is refused. Buckets are locked by those who ask, after the
lanes and before the scopes; who waits is counted under the same lock, so that no two slip through together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models.functions import Now

from jobs import queue_settings, sql, statements
from jobs.errors import Refused
from jobs.models import Job
from jobs.models_limits import Bucket
from jobs.rates import Rate, parse_rates
from jobs.states import OPEN, Status

_WAITING = "SELECT 1 FROM jobs_job WHERE queue = %(queue)s AND parent_id IS NULL AND started_at IS NULL"
_OF_OWNER = f"{_WAITING} AND owner_id = %(owner)s AND status {sql.one_of(OPEN)}"
_IN_SCOPE = f"{_WAITING} AND scope_id = %(scope)s AND status {sql.one_of(OPEN)}"
_QUEUED = f"{_WAITING} AND status = '{Status.QUEUED}'"
_TO_COME = f"{_WAITING} AND status {sql.one_of([Status.PENDING, Status.SCHEDULED])}"
_IN_QUEUE = f"{_QUEUED} UNION ALL {_TO_COME}"
"""Who waits, each in the words of an index: one of all who do would be written once more for each job."""


@dataclass(frozen=True)
class Rule:
    """A bound on what one subject (``who``: for people) asks of a queue."""

    bucket: str
    who: str
    jobs: str
    """Those of its jobs that wait, as SQL: of the parameters ``queue``, ``owner`` and ``scope``."""
    rates: tuple[Rate, ...]
    waiting: int | None


def in_force(job: Job) -> bool:
    """Whether a bound is set on what this request without a scope asks for."""
    return any(True for _ in _rules(job, ""))


def admit(jobs: Sequence[Job], *, scope: str) -> None:
    """Count these new requests of one owner, scope and queue, or raise ``Refused`` with the limit and its end."""
    job = jobs[0]
    rules = list(_rules(job, scope))
    if not rules:
        return
    buckets, now = _locked(rules)
    for rule in rules:
        _refuse_waiting(rule, jobs)
        for rate in rule.rates:
            _spend(buckets[_bucket_key(rule, rate)], rule, rate, len(jobs), now)
    spent = [buckets[_bucket_key(rule, rate)] for rule in rules for rate in rule.rates]
    Bucket.objects.bulk_update(spent, ["used_until"])


def _rules(job: Job, scope: str) -> Iterator[Rule]:
    of = queue_settings.of(job.queue)
    if of.rate or of.waiting:
        yield Rule(job.queue, "in all", _IN_QUEUE, parse_rates(of.rate), of.waiting)
    if job.owner_id is not None and (of.rate_per_user or of.waiting_per_user):
        bucket = f"{job.queue} user:{job.owner_id}"
        yield Rule(bucket, "for one user", _OF_OWNER, parse_rates(of.rate_per_user), of.waiting_per_user)
    if scope and (of.rate_per_scope or of.waiting_per_scope):
        bucket = f"{job.queue} in {scope}"
        yield Rule(bucket, "here", _IN_SCOPE, parse_rates(of.rate_per_scope), of.waiting_per_scope)


def _bucket_key(rule: Rule, rate: Rate | None) -> str:
    return f"{rule.bucket} {rate.seconds:g}" if rate else rule.bucket


def _locked(rules: list[Rule]) -> tuple[dict[str, Bucket], datetime]:
    """The buckets of these rules, locked, and the database's clock."""
    keys = {_bucket_key(rule, rate) for rule in rules for rate in (*rule.rates, None)}
    found = Bucket.objects.filter(key__in=keys)
    if found.count() < len(keys):
        Bucket.objects.bulk_create([Bucket(key=key) for key in sorted(keys)], ignore_conflicts=True)
    buckets = list(found.select_for_update().order_by("pk").annotate(now=Now()))
    return {bucket.key: bucket for bucket in buckets}, buckets[0].now


def _refuse_waiting(rule: Rule, jobs: Sequence[Job]) -> None:
    if rule.waiting is None:
        return
    counted = f"SELECT count(*) FROM ({rule.jobs} LIMIT %(most)s) AS waiting"
    job = jobs[0]
    asked = {"queue": job.queue, "owner": job.owner_id, "scope": job.scope_id, "most": rule.waiting}
    ((there,),) = statements.ask(counted, **asked)
    if there + len(jobs) > rule.waiting:
        raise _refused(rule, f"{rule.waiting} waiting", settings.CONFIG.refused_retry_seconds, "too_many_waiting")


def _spend(bucket: Bucket, rule: Rule, rate: Rate, count: int, now: datetime) -> None:
    window = timedelta(seconds=rate.seconds)
    used_until = max(bucket.used_until, now) + window / rate.count * count
    if (over := (used_until - now - window).total_seconds()) > 0:
        # More at once than the rate ever allows can wait as long as it likes: said as the whole window.
        raise _refused(rule, str(rate), min(over, rate.seconds), "rate_limited")
    bucket.used_until = used_until


def _refused(rule: Rule, limit: str, seconds: float, code: str) -> Refused:
    queue = rule.bucket.partition(" ")[0]
    detail = f"{queue} allows {limit} {rule.who}: ask again in {seconds:.3g} seconds"
    return Refused(detail, retry_after=round(seconds, 3), code=code, limit=f"{queue} {limit} {rule.who}")
