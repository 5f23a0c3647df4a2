"""Tickets that were lost are handed out anew, and only those; nobody stays without one for having come meanwhile."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import OperationalError

from jobs.models import Job
from jobs.operations import dispatch, leases
from jobs.operations.enqueue import enqueue
from jobs.scheduler.sweep import Sweep
from jobs.states import Status
from jobs.transport import Ticket, transport
from jobs.worker.line import line
from tests.jobs.kinds import ECHO, Plan
from tests.jobs.under_limits import claim, end

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_lost_ticket_is_handed_out_anew_after_two_looks_and_none_that_was_on_its_way_to_a_claim() -> None:
    sweep, rq = Sweep(), line(["system"], name="w")
    worker = leases.register(name="w", queues=["system"], slots=9)
    first, second = enqueue(ECHO, Plan(), priority=-1), enqueue(ECHO, Plan())
    popped = rq.pop(1, wait=False)
    sweep()
    assert leases.claim(popped or [], worker_id=worker.pk) == [first]
    assert rq.pop(1, wait=False) == [Ticket(second.pk, 0)]
    sweep()
    assert transport().length("system") == 0, "each look fell between a pop and its claim"
    sweep()
    assert transport().length("system") == 1


def test_who_is_enqueued_while_tickets_are_handed_out_gets_one_too(monkeypatch: pytest.MonkeyPatch) -> None:
    hand_out = dispatch._hand_out

    def before_the_second_came(queue: str, room: int) -> list[Ticket]:
        return hand_out(queue, 1)

    for _ in range(2):
        enqueue(ECHO, Plan())
    dispatch.withdraw("system")
    monkeypatch.setattr(dispatch, "_hand_out", before_the_second_came)
    assert dispatch.refill("system") == 2
    assert not Job.objects.filter(ticketed=False).exists()


@pytest.mark.parametrize(
    "run",
    [
        lambda running: enqueue(ECHO, Plan()),
        lambda running: end(running),
    ],
    ids=["enqueued", "released"],
)
def test_who_gets_no_ticket_behind_others_who_had_none_need_not_wait_for_the_sweep(
    run: Callable[[Job], object],
) -> None:
    enqueue(ECHO, Plan(), ordering_key="lane:a")
    (running,) = claim()
    enqueue(ECHO, Plan(), ordering_key="lane:a")
    enqueue(ECHO, Plan(), depends_on=[running])
    enqueue(ECHO, Plan())
    dispatch.withdraw("system")
    assert transport().length("system") == 0
    run(running)
    assert transport().length("system") == Job.objects.filter(status=Status.QUEUED, ticketed=True).count() > 1
    assert not Job.objects.filter(status=Status.QUEUED, ticketed=False).exists()


def test_what_is_enqueued_stands_though_the_list_cannot_be_filled(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(queue: str) -> int:
        raise OperationalError("the database is away")

    enqueue(ECHO, Plan())
    dispatch.withdraw("system")
    monkeypatch.setattr(dispatch, "refill", away)
    assert Job.objects.filter(pk=enqueue(ECHO, Plan()).pk).exists()
