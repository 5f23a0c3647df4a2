"""Real worker and scheduler processes: killed, stopped, paused, and left without Redis."""

from __future__ import annotations

import signal
import time
from datetime import timedelta

import pytest
from django.conf import settings
from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone
from redis import Redis

from jobs.jobtypes import ALERT
from jobs.models import Job, Worker
from jobs.models_events import JobEvent
from jobs.operations.enqueue import enqueue
from jobs.states import Status
from jobs.transport import queue_key
from tests import servers
from tests.jobs.kinds import CHATTY, ECHO, IO, MISUSE, PARENT, SLEEP, STEPS, Plan
from tests.processes import Stack
from tests.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]


def all_completed(count: int) -> bool:
    return Job.objects.filter(status=Status.COMPLETED).count() == count


def workers() -> QuerySet[Worker]:
    """But for those that schedulers have."""
    return Worker.objects.exclude(queues=[ALERT.queue])


def running(job: Job) -> bool:
    return Job.objects.filter(pk=job.pk, status=Status.RUNNING).exists()


def test_a_worker_runs_what_is_enqueued(stack: Stack) -> None:
    stack.start("worker")
    for number in range(200):
        enqueue(ECHO, Plan(text=str(number)))
    wait_until(lambda: all_completed(200), timeout=60)
    parent = enqueue(PARENT, Plan(text="hi"), scope="test:1")
    wait_until(lambda: all_completed(202))
    parent.refresh_from_db()
    assert parent.result == {"child": "HI"}


def test_errors_that_no_database_keeps_hold_up_nobody_elses_end(stack: Stack) -> None:
    wrong = [enqueue(MISUSE, Plan(do=do)) for do in ("half an error", "half a code", "half a line", "half a result")]
    for number in range(20):
        enqueue(ECHO, Plan(text=str(number)))
    stack.start("worker")
    wait_until(lambda: all_completed(20), timeout=60)
    wait_until(lambda: Job.objects.filter(status=Status.DEAD).count() == len(wrong))
    assert stack.stop("worker") == 0


def test_a_killed_workers_jobs_go_on_elsewhere_and_finished_steps_are_not_run_again(stack: Stack) -> None:
    stack.start("scheduler")
    stack.start("worker", FAILPOINTS="after_commit:two=exit")
    job = enqueue(STEPS, Plan(), scope="test:1")
    assert stack.wait("worker") == 9
    stack.start("worker", FAILPOINTS="")
    wait_until(lambda: all_completed(1), timeout=60)
    events = list(JobEvent.objects.filter(scope__key="test:1").order_by("seq").values_list("event", flat=True))
    assert events == ["request.queued", "request.processing", "game.state_updated", "request.completed"]
    job.refresh_from_db()
    assert (job.attempt, job.lease_losses) == (1, 1)


@pytest.mark.parametrize("where", ["after_pop", "in_claim", "after_claim", "in_settle", "after_settle"])
def test_a_worker_may_die_anywhere_between_ticket_and_end(stack: Stack, where: str) -> None:
    stack.start("scheduler")
    stack.start("worker", FAILPOINTS=f"{where}=exit")
    job = enqueue(ECHO, Plan(text="x"), scope="test:1")
    assert stack.wait("worker") == 9
    stack.start("worker", FAILPOINTS="")
    wait_until(lambda: all_completed(1), timeout=60)
    assert job.events.filter(event="job.completed").count() == 1
    assert JobEvent.objects.filter(event="request.completed").count() == 1


def test_a_paused_worker_that_wakes_up_after_its_lease_changes_nothing(stack: Stack) -> None:
    stack.start("worker", "scheduler")
    job = enqueue(SLEEP, Plan(seconds=2.0))
    wait_until(lambda: running(job))
    stack.signal("worker", signal.SIGSTOP)
    Job.objects.filter(pk=job.pk).update(payload=Plan(seconds=6.0).model_dump())  # the second worker is slower
    stack.start("worker.2")
    wait_until(lambda: Job.objects.filter(pk=job.pk, token=2, status=Status.RUNNING).exists(), timeout=60)
    stack.signal("worker", signal.SIGCONT)
    wait_until(lambda: "its end is dropped" in stack.log("worker"))
    assert running(job), "the second worker still has it"
    wait_until(lambda: all_completed(1))
    assert job.events.filter(event="job.completed").count() == 1
    wait_until(lambda: workers().filter(ended_at=None).count() == 2)


def test_a_worker_that_was_taken_for_dead_claims_nothing_before_its_heart_beats_again(stack: Stack) -> None:
    stack.start("scheduler")
    stack.start("worker", FAILPOINTS="before_beat=pause:5@2")  # awake again, its heart is the last to notice
    wait_until(workers().filter(ended_at=None).exists)
    stack.signal("worker", signal.SIGSTOP)
    wait_until(workers().filter(ended_at__isnull=False).exists)
    job = enqueue(ECHO, Plan(text="x"))
    stack.signal("worker", signal.SIGCONT)
    wait_until(lambda: all_completed(1))
    job.refresh_from_db()
    assert (job.token, job.lease_losses) == (1, 0), "claimed once, by the worker that it is now"
    assert "was taken for dead" in stack.log("worker")


def test_the_heart_beats_whatever_handlers_report(stack: Stack) -> None:
    stack.start("scheduler")
    stack.start("worker", FAILPOINTS="before_progress=pause:0.01")  # a database slower than the handlers
    jobs = [enqueue(CHATTY, Plan(seconds=4)) for _ in range(30)]
    wait_until(lambda: all_completed(len(jobs)), timeout=60)
    assert not Job.objects.exclude(lease_losses=0).exists()


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no locks on rows")
def test_the_heart_beats_while_somebody_holds_the_row_of_a_job_that_reports(stack: Stack) -> None:
    stack.start("worker")
    job = enqueue(CHATTY, Plan(seconds=5))
    wait_until(lambda: running(job))
    with transaction.atomic():
        Job.objects.select_for_update().get(pk=job.pk)
        after = timezone.now() + timedelta(seconds=settings.CONFIG.lease_seconds)
        wait_until(lambda: Worker.objects.filter(beat_at__gt=after).exists(), timeout=10)
    wait_until(lambda: all_completed(1))
    assert Job.objects.get(pk=job.pk).progress, "what was reported meanwhile was kept afterwards"


def test_a_warm_shutdown_finishes_what_it_can_and_hands_back_the_rest_at_once(stack: Stack) -> None:
    stack.start("worker", SHUTDOWN_SECONDS="1")
    short, long = enqueue(SLEEP, Plan(seconds=0.6)), enqueue(IO, Plan(seconds=60))
    wait_until(lambda: running(short) and running(long))
    started = time.monotonic()
    assert stack.stop("worker") == 0
    assert time.monotonic() - started < 30, "the long one takes a minute"
    short.refresh_from_db()
    long.refresh_from_db()
    assert (short.status, long.status) == (Status.COMPLETED, Status.QUEUED)
    assert (long.attempt, long.lease_losses) == (1, 0)
    assert long.events.filter(event="job.released").exists()


def test_work_goes_on_without_redis_and_a_flush_loses_nothing(stack: Stack, redis_server: servers.Redis) -> None:
    with Redis.from_url(settings.CONFIG.redis_url) as client:
        for number in range(20):
            enqueue(ECHO, Plan(text=str(number)))
        client.flushall()
        stack.start("worker", "scheduler")
        wait_until(lambda: all_completed(20), timeout=60)
    redis_server.stop()
    for number in range(20):
        enqueue(ECHO, Plan(text=str(number)))
    wait_until(lambda: all_completed(40), timeout=60)
    redis_server.start()
    enqueue(ECHO, Plan(text="back"))
    wait_until(lambda: all_completed(41), timeout=60)


def test_whatever_else_is_on_the_list_is_dropped(stack: Stack) -> None:
    with Redis.from_url(settings.CONFIG.redis_url) as client:
        client.rpush(queue_key("system"), b"\x80\x04garbage", "os.system", "1-", "-1", "9" * 40, "12-34-5", "7-0")
    stack.start("worker")
    enqueue(ECHO, Plan(text="x"))
    wait_until(lambda: all_completed(1))
    assert "6 list items are no tickets" in stack.log("worker")


def test_one_scheduler_leads_and_another_takes_over(stack: Stack) -> None:
    stack.start("scheduler", "scheduler.2")
    leads = {"scheduler", "scheduler.2"}
    wait_until(lambda: any(" leads" in stack.log(name) for name in leads))
    first = next(name for name in leads if " leads" in stack.log(name))
    stack.kill9(first)
    (other,) = leads - {first}
    wait_until(lambda: " leads" in stack.log(other), timeout=10)
