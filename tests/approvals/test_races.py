"""Several at once: people, schedulers, and the end of the job. Exactly one gets there."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db.models.functions import Now

from approvals.models import Approval, ApprovalDecision
from approvals.operations import decide, expire_due, settle_due, undo
from jobs.errors import Conflict
from jobs.events.ledger import ledger
from jobs.models import Job
from jobs.models_events import JobEvent
from jobs.operations.transitions import Move, apply, lock
from jobs.states import Status
from jobs.testing import run_until_idle
from tests.approvals.conftest import Cast
from tests.approvals.tables import Table, approval_of, event
from tests.together import at_once

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS = 5


def make_due(column: str) -> None:
    Approval.objects.update(**{column: Now() - timedelta(seconds=1)})


def entries(approval: Approval) -> int:
    return ApprovalDecision.objects.filter(approval=approval).count()


def test_of_eight_deciders_one_wins_and_seven_are_told_who(say: Callable[..., Job], cast: Cast) -> None:
    def attempt(approval: Approval, number: int) -> Callable[[], Approval]:
        user = (cast.dm, cast.dm2)[number % 2]
        said: dict[str, Any] = (
            {"decision": "accept"} if number < 4 else {"decision": "reject", "reason": f"reason {number}"}
        )
        return partial(decide, user=user, approval_id=approval.pk, version=1, **said)

    for _ in range(ROUNDS):
        approval = approval_of(job := say())
        results = at_once(*(attempt(approval, number) for number in range(8)))
        winners = [result for result in results if isinstance(result, Approval)]
        losers = [result for result in results if isinstance(result, Conflict)]
        assert (len(winners), len(losers)) == (1, 7)
        entry = ApprovalDecision.objects.get(approval=approval)
        assert {loser.code for loser in losers} == {"already_decided"}
        assert {(loser.extra["by"], loser.extra["decision"]) for loser in losers} == {(entry.by_label, entry.decision)}
        assert JobEvent.objects.filter(job=job, event="approval.decided").count() == 1
        run_until_idle()
        job.refresh_from_db()
        assert job.outcome == ("done" if entry.decision == "accept" else "rejected")


def test_two_schedulers_expire_each_approval_once(say: Callable[..., Job]) -> None:
    approvals = [approval_of(say()) for _ in range(ROUNDS)]
    make_due("due_at")
    done = at_once(*[lambda: expire_due(limit=10)] * 2)
    # A row that the other had locked is left to the next tick.
    done.append(expire_due(limit=10))
    assert sum(done) == ROUNDS
    assert [entries(approval) for approval in approvals] == [1] * ROUNDS
    assert JobEvent.objects.filter(event="approval.expired").count() == ROUNDS


def test_two_schedulers_settle_each_decision_once(say: Callable[..., Job], table: Table, cast: Cast) -> None:
    table.wants(undo_seconds=30)
    for _ in range(ROUNDS):
        decide(user=cast.dm, approval_id=approval_of(say()).pk, version=1, decision="accept")
    make_due("settles_at")
    done = [*at_once(*[lambda: settle_due(limit=10)] * 2), settle_due(limit=10)]
    assert sum(done) == ROUNDS
    assert JobEvent.objects.filter(event="job.resumed").count() == ROUNDS


def test_a_person_and_the_clock_do_not_both_decide(say: Callable[..., Job], cast: Cast) -> None:
    for _ in range(ROUNDS):
        approval = approval_of(say())
        make_due("due_at")
        person, expired = at_once(
            partial(decide, user=cast.dm, approval_id=approval.pk, version=1, decision="accept"),
            lambda: expire_due(limit=10),
        )
        assert isinstance(person, Approval) == (expired == 0)
        assert entries(approval) == 1
        run_until_idle()


def test_a_decision_is_not_both_taken_back_and_settled(say: Callable[..., Job], table: Table, cast: Cast) -> None:
    table.wants(undo_seconds=0.05)
    for _ in range(ROUNDS):
        approval = approval_of(say())
        decide(user=cast.dm, approval_id=approval.pk, version=1, decision="accept")
        undone, _ = at_once(
            partial(undo, user=cast.dm, approval_id=approval.pk, version=1),
            lambda: settle_due(limit=10),
        )
        approval.refresh_from_db()
        assert approval.status in (("pending",) if isinstance(undone, Approval) else ("decided", "settled"))
        assert entries(approval) == (2 if isinstance(undone, Approval) else 1)
        Approval.objects.filter(pk=approval.pk).update(status="withdrawn")


def test_a_decision_and_the_end_of_the_job_do_not_both_hold(say: Callable[..., Job], cast: Cast) -> None:
    def cancel(job: Job) -> bool:
        with ledger() as book:
            row = lock([job.pk])[job.pk]
            if row.status != Status.WAITING:
                return False
            apply(book, [Move(row, Status.CANCELLED, "job.cancelled")])
            return True

    for _ in range(ROUNDS):
        approval = approval_of(job := say())
        person, cancelled = at_once(
            partial(decide, user=cast.dm, approval_id=approval.pk, version=1, decision="accept"),
            partial(cancel, job),
        )
        assert isinstance(person, Approval) != cancelled
        event(job, "approval.withdrawn" if cancelled else "approval.decided")
        run_until_idle()


def test_decisions_on_different_requests_do_not_wait_for_each_other_for_ever(
    say: Callable[..., Job], cast: Cast
) -> None:
    approvals = [approval_of(say()) for _ in range(8)]
    results = at_once(
        *(
            partial(decide, user=cast.dm, approval_id=approval.pk, version=1, decision="accept")
            for approval in approvals
        )
    )
    assert all(isinstance(result, Approval) for result in results)
    numbers = list(JobEvent.objects.filter(seq__isnull=False).order_by("seq").values_list("seq", flat=True))
    assert numbers == list(range(1, len(numbers) + 1))
