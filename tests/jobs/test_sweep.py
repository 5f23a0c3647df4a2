"""Tickets that were lost are handed out anew, and only those; nobody stays without one for having come meanwhile."""

from __future__ import annotations

import pytest

from jobs.models import Job
from jobs.operations import dispatch, leases
from jobs.operations.enqueue import enqueue
from jobs.scheduler.sweep import Sweep
from jobs.transport import Ticket, transport
from jobs.worker.line import line
from tests.jobs.kinds import ECHO, Plan

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
