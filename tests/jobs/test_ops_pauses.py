"""Pausing queues and workers."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import QuerySet

from accounts.models import AuditEntry
from jobs.errors import NotFound
from jobs.jobtypes import ALERT
from jobs.models import Job, QueueControl, Worker
from jobs.operations import dispatch, leases, queues
from jobs.operations.enqueue import enqueue
from jobs.operations.operator import Operator
from jobs.pauses import pauses
from jobs.states import Status
from jobs.testing import run_next
from jobs.transport import Ticket, connect, transport
from tests.jobs.kinds import CHILD, ECHO, Plan
from tests.processes import Stack
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

CONSOLE = Operator(user=None, via="console")


@pytest.fixture(autouse=True)
def _nothing_known() -> Iterator[None]:
    pauses.forget()
    yield
    pauses.forget()


def serving() -> QuerySet[Worker]:
    """Live workers, but for those that schedulers have."""
    return Worker.objects.filter(ended_at=None).exclude(queues=[ALERT.queue])


def status(job: Job) -> str:
    return Job.objects.get(pk=job.pk).status


def test_nobody_claims_from_a_paused_queue_by_ticket_or_without() -> None:
    job, other = enqueue(ECHO, Plan()), enqueue(CHILD, Plan())
    queues.pause_queue("system", by=CONSOLE)
    worker = leases.register(name="a", queues=["system", "llm"], slots=2)
    assert leases.claim([Ticket(job.pk, 0)], worker_id=worker.pk) == []
    assert leases.claim_next(["system", "llm"], limit=2, worker_id=worker.pk) == [other]


def test_a_resumed_queue_has_its_tickets_again_in_order() -> None:
    queues.pause_queue("system", by=CONSOLE)
    late, soon = enqueue(ECHO, Plan()), enqueue(ECHO, Plan(), priority=-1)
    transport().empty("system")  # as if workers had popped them in vain
    dispatch.clear_marks("system")
    assert dispatch.refill("system") == 0
    queues.resume_queue("system", by=CONSOLE)
    assert connect().lrange("rq:queue:system", 0, -1) == [f"{job.pk}-0".encode() for job in (soon, late)]
    assert run_next() == soon


def test_who_paused_it_is_kept_and_twice_is_once() -> None:
    ada = User.objects.create_user("ada")
    for _ in range(2):
        control = queues.pause_queue("llm", by=Operator(user=ada, via="api"))
    assert control.paused_at is not None
    assert control.paused_by == ada
    queues.resume_queue("llm", by=CONSOLE)
    log = AuditEntry.objects.order_by("id").values_list("action", "actor_label", "target_id", "data__via")
    assert list(log) == [
        ("queue.paused", "ada", "queue:llm", "api"),
        ("queue.resumed", "system", "queue:llm", "console"),
    ]


def test_what_nobody_knows_is_not_paused() -> None:
    with pytest.raises(NotFound):
        queues.pause_queue("nowhere", by=CONSOLE)
    with pytest.raises(NotFound):
        queues.pause_worker("nobody", by=CONSOLE)
    assert not QueueControl.objects.exists()


@pytest.mark.integration
def test_a_running_worker_leaves_a_paused_queue_alone_and_comes_back_to_it(stack: Stack) -> None:
    stack.start("worker", "scheduler")
    wait_until(serving().exists, timeout=60)
    queues.pause_queue("system", by=CONSOLE)
    knows_by = time.monotonic() + 5 * settings.CONFIG.tick_seconds  # a worker may not know of it for one tick
    while time.monotonic() < knows_by:
        other = enqueue(CHILD, Plan())
        wait_until(lambda other=other: status(other) == Status.COMPLETED, timeout=60)  # type: ignore[misc]
    for _ in range(3):  # each run of another queue's job is a chance to take this one
        job, other = enqueue(ECHO, Plan()), enqueue(CHILD, Plan())
        wait_until(lambda other=other: status(other) == Status.COMPLETED, timeout=60)  # type: ignore[misc]
        assert status(job) == Status.QUEUED
    queues.resume_queue("system", by=CONSOLE)
    wait_until(lambda: not Job.objects.open().exists(), timeout=60)


@pytest.mark.integration
def test_a_paused_worker_takes_nothing_while_its_heart_beats(stack: Stack) -> None:
    stack.start("worker", "scheduler")
    wait_until(serving().exists, timeout=60)
    worker = serving().get()
    queues.pause_worker(worker.name, by=CONSOLE)
    _beats(worker)  # it has noticed
    job = enqueue(ECHO, Plan())
    _beats(worker)
    assert status(job) == Status.QUEUED
    queues.resume_worker(worker.name, by=CONSOLE)
    wait_until(lambda: status(job) == Status.COMPLETED, timeout=60)


def _beats(worker: Worker, times: int = 2) -> None:
    for _ in range(times):
        last = Worker.objects.get(pk=worker.pk).beat_at
        wait_until(lambda last=last: Worker.objects.get(pk=worker.pk).beat_at > last, timeout=60)  # type: ignore[misc]
