"""Emptying queues, and deleting what was kept for long enough."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db.models import F
from django.db.models.functions import Now

from accounts.models import AuditEntry
from jobs import invariants, queue_settings
from jobs.errors import Conflict
from jobs.models import IdempotencyKey, Job
from jobs.models_dependencies import IfDead
from jobs.models_events import JobEvent
from jobs.models_metrics import QueueSettings
from jobs.operations import leases, operating, upkeep
from jobs.operations.controls import cancel
from jobs.operations.enqueue import enqueue
from jobs.operations.operator import Operator
from jobs.scheduler.cleanup import run_cleanup
from jobs.scheduler.due import run_released
from jobs.states import Status
from jobs.testing import run_next, run_until_idle
from queueproject.env import QueueDefaults
from tests.jobs.kinds import CHILD, ECHO, FAIL, PARENT, Plan
from tests.jobs.unfinished import dies_before_it_looks_elsewhere

pytestmark = pytest.mark.django_db(transaction=True)

CONSOLE = Operator(user=None, via="console")
DAY = 86_400.0
HOUR = 3600.0

Config = Callable[..., None]


@pytest.fixture(autouse=True)
def _nothing_kept_in_mind() -> Iterator[None]:
    queue_settings.forget()
    yield
    queue_settings.forget()


def aged(job: Job, seconds: float) -> Job:
    """The job, as if it had ended so long ago."""
    Job.objects.filter(pk=job.pk).update(finished_at=F("finished_at") - timedelta(seconds=seconds))
    return job


def left() -> set[Job]:
    return set(Job.objects.roots())


def test_a_queue_is_drained_of_what_waits_and_keeps_what_runs() -> None:
    running = enqueue(ECHO, Plan())
    worker = leases.register(name="a", queues=["system"], slots=1)
    leases.claim_next(["system"], limit=1, worker_id=worker.pk)
    parent = enqueue(PARENT, Plan(), scope="test:1")
    run_next()
    waiting = [enqueue(ECHO, Plan()), enqueue(ECHO, Plan(), delay=timedelta(hours=1))]
    other = enqueue(CHILD, Plan())
    assert upkeep.drain("system", by=CONSOLE) == 2
    assert set(Job.objects.filter(status=Status.CANCELLED)) == set(waiting)
    assert set(Job.objects.open().roots()) == {running, parent, other}
    assert upkeep.drain("llm", by=CONSOLE) == 2, "a child that waits here ends its request"
    assert set(Job.objects.open()) == {running}
    assert AuditEntry.objects.filter(action="queue.drained").count() == 2
    assert AuditEntry.objects.filter(action="job.cancelled").values("data__bulk").distinct().count() == 2
    assert invariants.broken() == {}


def test_a_queue_is_cleaned_of_what_ended_long_enough_ago() -> None:
    old, new, dead = enqueue(ECHO, Plan()), enqueue(ECHO, Plan()), enqueue(FAIL, Plan(do="permanent"))
    run_until_idle()
    aged(old, HOUR + 1), aged(dead, HOUR + 1)
    assert upkeep.clean("system", statuses=[Status.COMPLETED], older_than_seconds=HOUR, by=CONSOLE) == 1
    assert left() == {new, dead}
    open_ = enqueue(ECHO, Plan())
    assert upkeep.clean("system", statuses=list(Status), older_than_seconds=0, by=CONSOLE) == 2
    assert left() == {open_}


def test_each_status_is_kept_for_its_time(config: Config) -> None:
    config(keep_completed_seconds=DAY, keep_dead_seconds=3 * DAY, keep_cancelled_seconds=2 * DAY)
    done, dead, off = enqueue(ECHO, Plan()), enqueue(FAIL, Plan(do="permanent")), enqueue(ECHO, Plan())
    cancel(off.pk)
    run_until_idle()
    for days, kept in ((0.9, {done, dead, off}), (1.1, {dead, off}), (2.1, {dead}), (3.1, set())):
        for job in (done, dead, off):
            Job.objects.filter(pk=job.pk).update(finished_at=F("created_at") - timedelta(days=days))
        upkeep.prune()
        assert left() == kept, days


def test_a_job_or_its_queue_may_say_how_long_it_is_kept() -> None:
    long, short = (enqueue(ECHO, Plan(), keep_for=timedelta(seconds=seconds)) for seconds in (400 * DAY, 90.5))
    other = enqueue(CHILD, Plan())
    run_until_idle()
    QueueSettings.objects.create(queue="llm", keep_seconds=HOUR)
    queue_settings.forget()
    aged(long, 399 * DAY), aged(short, 90), aged(other, HOUR - 10)
    assert upkeep.prune() == 0
    aged(short, 1), aged(other, 20)
    assert upkeep.prune() == 2
    assert left() == {long}


def test_how_long_a_queue_keeps_may_be_said_by_the_environment_and_the_admin_goes_before_it(config: Config) -> None:
    config(queue_settings={"llm": QueueDefaults(keep_seconds=HOUR), "system": QueueDefaults(keep_seconds=1)})
    QueueSettings.objects.create(queue="system", keep_seconds=HOUR)
    queue_settings.forget()
    jobs = [enqueue(CHILD, Plan()), enqueue(ECHO, Plan())]
    own = enqueue(ECHO, Plan(), keep_for=timedelta(days=1))
    run_until_idle()
    for job in (*jobs, own):
        aged(job, HOUR - 10)
    assert upkeep.prune() == 0
    for job in (*jobs, own):
        aged(job, 20)
    assert upkeep.would_prune() == {"completed": 2}
    assert upkeep.prune() == 2
    assert left() == {own}


def test_what_others_still_need_is_not_deleted() -> None:
    owner = User.objects.create_user("ada")
    keyed, needed = enqueue(ECHO, Plan(), owner=owner, idempotency_key="k"), enqueue(ECHO, Plan())
    enqueue(ECHO, Plan(), depends_on=[needed], if_dead=IfDead.RUN, delay=timedelta(days=1))
    open_ = enqueue(ECHO, Plan(), delay=timedelta(days=1))
    for _ in range(2):
        run_next()
    aged(keyed, 999 * DAY), aged(needed, 999 * DAY)
    assert upkeep.prune() == 0
    assert {keyed, needed, open_} <= left()


def test_whose_key_is_to_be_honoured_is_neither_removed_nor_cleaned_away() -> None:
    owner = User.objects.create_user("ada")
    keyed = enqueue(ECHO, Plan(), owner=owner, idempotency_key="k")
    run_until_idle()
    other = enqueue(ECHO, Plan())
    run_until_idle()
    refused(keyed)
    assert upkeep.clean("system", statuses=[Status.COMPLETED], older_than_seconds=0, by=CONSOLE) == 1
    assert left() == {keyed}, f"not {other}"
    assert enqueue(ECHO, Plan(), owner=owner, idempotency_key="k") == keyed
    IdempotencyKey.objects.update(at=Now() - timedelta(days=1, seconds=1))
    operating.remove(keyed.pk, by=CONSOLE)
    assert left() == set()


@pytest.mark.parametrize("called_off", [False, True])
def test_what_a_job_depends_on_stays_until_that_has_begun_or_ended(called_off: bool) -> None:
    on = enqueue(ECHO, Plan())
    dependent = enqueue(PARENT, Plan(), ordering_key="lane:a", depends_on=[on])
    dies_before_it_looks_elsewhere(partial(cancel, on.pk) if called_off else run_next)
    refused(on)
    assert upkeep.clean("system", statuses=list(Status), older_than_seconds=0, by=CONSOLE) == 0
    run_released()
    run_next()
    dependent.refresh_from_db()
    assert dependent.status == (Status.CANCELLED if called_off else Status.WAITING)
    operating.remove(on.pk, by=CONSOLE)
    assert left() == {dependent}
    assert invariants.broken() == {}


def test_a_request_stays_for_those_that_depend_on_what_it_called() -> None:
    parent = enqueue(PARENT, Plan())
    run_next()
    dependent = enqueue(ECHO, Plan(), depends_on=[parent.children.get()], delay=timedelta(days=1))
    for _ in range(2):
        run_next()
    refused(aged(parent, 999 * DAY))
    assert upkeep.prune() == 0
    cancel(dependent.pk)
    assert upkeep.prune() == 1
    assert left() == {dependent}


def refused(job: Job) -> None:
    """Nobody removes it: others need it."""
    with pytest.raises(Conflict, match="still needed") as error:
        operating.remove(job.pk, by=CONSOLE)
    assert error.value.code == "needed"
    assert job in left()


def test_the_stream_outlives_the_job_and_every_invariant_holds() -> None:
    parent, other = enqueue(PARENT, Plan(), scope="test:1"), enqueue(ECHO, Plan(), scope="test:1")
    run_until_idle()
    aged(parent, 999 * DAY), aged(other, 999 * DAY)
    told = list(JobEvent.objects.filter(scope__key="test:1").order_by("seq").values_list("seq", "event", "request"))
    assert upkeep.prune() == 2
    assert not Job.objects.exists()
    assert list(JobEvent.objects.order_by("seq").values_list("seq", "event", "request")) == told
    assert invariants.broken() == {}


def test_the_scheduler_does_it_in_batches(monkeypatch: pytest.MonkeyPatch, config: Config) -> None:
    config(cleanup_seconds=77, tick_seconds=30)
    monkeypatch.setattr(upkeep, "BATCH", 2)
    monkeypatch.setattr(upkeep.prune, "__defaults__", (2,))
    jobs = [enqueue(ECHO, Plan()) for _ in range(3)]
    run_until_idle()
    for job in jobs:
        aged(job, 999 * DAY)
    assert run_cleanup() < 10, "it goes on when it has rested for as long as it took, not with the next tick"
    assert Job.objects.count() == 1
    assert run_cleanup() == 77
    assert not Job.objects.exists()


def test_a_dry_run_only_counts() -> None:
    aged(enqueue(ECHO, Plan()), 0)
    run_until_idle()
    job = aged(Job.objects.get(), 999 * DAY)
    out = StringIO()
    call_command("prune", dry_run=True, stdout=out)
    assert out.getvalue() == "1 completed request(s) would be deleted.\n"
    assert left() == {job}
    call_command("prune", stdout=out)
    assert left() == set()
