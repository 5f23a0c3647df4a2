"""The queue run in the test's own process: order, retries, waits, steps, and what comes of each."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import DataError, connection, transaction
from django.db.models.functions import Now

from jobs import invariants
from jobs.errors import Conflict, Invalid
from jobs.events.ledger import LedgerError, ledger
from jobs.models import IdempotencyKey, Job, Lane, Scope
from jobs.models_events import JobEvent
from jobs.models_steps import JobLog
from jobs.operations import leases
from jobs.operations.enqueue import enqueue
from jobs.operations.outcomes import Ended, How, settle
from jobs.scheduler.due import run_due
from jobs.scheduler.expiry import run_expiry
from jobs.states import Status
from jobs.testing import run_next, run_next_killed, run_until_idle
from jobs.transport import Ticket, transport
from tests.jobs import kinds
from tests.jobs.kinds import ECHO, FAIL, IO, MISUSE, PARENT, STEPS, Plan
from tests.together import at_once

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    kinds.ran.clear()


def told(job: Job) -> list[str]:
    """The numbered events of the job's scope, in order."""
    return list(JobEvent.objects.filter(scope=job.scope).order_by("seq").values_list("event", flat=True))


def error_of(job: Job) -> dict[str, Any]:
    assert job.error is not None
    return dict(job.error)


def data_of(job: Job, event: str) -> dict[str, Any]:
    return dict(job.events.get(event=event).data or {})


def timeline(job: Job) -> list[str]:
    return list(job.events.filter(event__startswith="job.").order_by("id").values_list("event", flat=True))


def test_a_job_runs_and_its_result_is_kept() -> None:
    job = enqueue(ECHO, Plan(text="hello"), scope="test:1")
    assert job.status == Status.QUEUED
    run_until_idle()
    job.refresh_from_db()
    assert (job.status, job.outcome, job.result) == ("completed", "done", {"text": "hello"})
    assert told(job) == ["request.queued", "request.processing", "request.completed"]
    assert timeline(job) == ["job.queued", "job.started", "job.completed"]
    assert job.finished_at is not None


def test_a_rejection_is_an_outcome_of_its_own() -> None:
    job = enqueue(ECHO, Plan(do="reject"), scope="test:1")
    run_until_idle()
    job.refresh_from_db()
    assert (job.outcome, job.request_status) == ("rejected", "rejected")
    assert told(job)[-1] == "request.rejected"


def test_numbers_are_gapless_and_in_the_order_of_commits() -> None:
    for number in range(5):
        enqueue(ECHO, Plan(text=str(number)), scope="test:1")
    run_until_idle()
    numbers = list(JobEvent.objects.filter(scope__key="test:1").order_by("id").values_list("seq", flat=True))
    assert numbers == list(range(1, 16))
    assert Scope.objects.get(key="test:1").head == 15


def test_a_lane_runs_strictly_in_order_and_one_at_a_time() -> None:
    jobs = [enqueue(ECHO, Plan(text=str(n)), ordering_key="lane:a", scope="test:1") for n in range(3)]
    assert [job.status for job in jobs] == [Status.QUEUED, Status.PENDING, Status.PENDING]
    positions = JobEvent.objects.filter(event="request.queued").order_by("seq").values_list("data__position", flat=True)
    assert list(positions) == [0, 1, 2]
    run_until_idle()
    assert kinds.ran == ["0", "1", "2"]


def test_a_lane_keeps_its_order_through_a_retry_of_its_head() -> None:
    enqueue(FAIL, Plan(do="recover"), ordering_key="lane:a")
    enqueue(ECHO, Plan(text="after"), ordering_key="lane:a")
    assert run_next() is not None
    assert run_next() is None, "the second must not pass its head that waits for its next attempt"
    run_until_idle()
    assert kinds.ran == ["attempt 1", "attempt 2", "after"]


def test_a_dead_head_lets_the_next_go() -> None:
    enqueue(FAIL, Plan(do="permanent"), ordering_key="lane:a")
    second = enqueue(ECHO, Plan(text="after"), ordering_key="lane:a")
    run_until_idle()
    second.refresh_from_db()
    assert second.status == Status.COMPLETED


def test_a_failing_job_is_tried_again_and_then_dead_without_telling_its_inside() -> None:
    job = enqueue(FAIL, Plan(), scope="test:1")
    run_until_idle()
    job.refresh_from_db()
    assert job.status == Status.DEAD
    assert kinds.ran == ["attempt 1", "attempt 2", "attempt 3"]
    assert job.error == {"code": "internal_error", "detail": error_of(job)["detail"]}
    assert "secret" not in error_of(job)["detail"]
    assert "ZeroDivisionError: secret detail" in data_of(job, "job.dead")["traceback"]
    assert told(job)[-1] == "request.failed"


def test_a_handler_that_exits_fails_its_attempt_only() -> None:
    job = enqueue(FAIL, Plan(do="exit"))
    run_until_idle()
    job.refresh_from_db()
    assert job.status == Status.DEAD


def test_retry_later_waits_as_long_as_asked() -> None:
    job = enqueue(FAIL, Plan(do="later"))
    run_next()
    job.refresh_from_db()
    assert (job.status, job.attempt) == (Status.SCHEDULED, 2)
    assert data_of(job, "job.retried")["after_seconds"] == 30


def test_a_parent_waits_for_its_child_and_goes_on_with_its_result() -> None:
    job = enqueue(PARENT, Plan(text="hi"), scope="test:1")
    run_next()
    job.refresh_from_db()
    assert job.status == Status.WAITING
    run_until_idle()
    job.refresh_from_db()
    assert job.result == {"child": "HI"}
    assert kinds.ran == ["parent", "child", "parent"]
    assert told(job) == ["request.queued", "request.processing", "llm.processing", "request.completed"]
    assert set(JobEvent.objects.filter(scope=job.scope).values_list("request", flat=True)) == {job.public_id}


def test_a_child_that_dies_fails_its_parent_with_its_own_error() -> None:
    job = enqueue(PARENT, Plan(do="fail"))
    run_until_idle()
    job.refresh_from_db()
    assert (job.status, error_of(job)["code"]) == (Status.DEAD, "internal_error")
    assert kinds.ran == ["parent", "child", "child", "parent"]


def test_finished_steps_are_not_run_again_after_a_crash() -> None:
    job = enqueue(STEPS, Plan(), scope="test:1")
    while run_next_killed():
        pass
    job.refresh_from_db()
    assert (job.status, job.result) == (Status.COMPLETED, ["one", "two", "three"])
    assert kinds.ran == ["one", "two", "three"]
    assert told(job) == ["request.queued", "request.processing", "game.state_updated", "request.completed"]
    assert (job.attempt, job.lease_losses) == (1, 2)
    assert list(JobLog.objects.values_list("text", flat=True)).count("between") >= 1


def test_a_stale_claim_commits_nothing() -> None:
    job = enqueue(ECHO, Plan(text="x"))
    worker = leases.register(name="a", queues=["system"], slots=1)
    (claimed,) = leases.claim_next(["system"], limit=1, worker_id=worker.pk)
    leases.resign(worker.pk)
    assert leases.rescue() == [job.pk]
    other = leases.register(name="b", queues=["system"], slots=1)
    (again,) = leases.claim_next(["system"], limit=1, worker_id=other.pk)
    assert again.token == claimed.token + 1
    stale = Ended(job_id=job.pk, token=claimed.token, lane_id=None, parent_id=None, result="stale")
    assert settle([stale]) == set()
    assert settle([Ended(job_id=job.pk, token=again.token, lane_id=None, parent_id=None, result="ok")]) == {job.pk}
    job.refresh_from_db()
    assert job.result == "ok"


def test_a_ticket_with_an_old_token_or_used_twice_claims_nothing() -> None:
    job = enqueue(ECHO, Plan())
    worker = leases.register(name="a", queues=["system"], slots=1)
    assert leases.claim([Ticket(job.pk, 7), Ticket(999, 0)], worker_id=worker.pk) == []
    assert len(leases.claim([Ticket(job.pk, 0), Ticket(job.pk, 0)], worker_id=worker.pk)) == 1
    assert leases.claim([Ticket(job.pk, 0)], worker_id=worker.pk) == []


def refuse(
    words: list[str], execute: Any, sql: Any, params: Any, many: bool, context: Any, by: type[Exception] = DataError
) -> Any:
    """The database takes nothing that has one of these words."""
    if any(word in str(params) for word in words):
        raise by("refused")
    return execute(sql, params, many, context)


@pytest.mark.parametrize(
    ("ended", "status", "code"),
    [
        ({"result": "poison"}, Status.DEAD, "unstorable_result"),
        ({"how": How.FAILED, "error": {"code": "c", "detail": "poison"}}, Status.SCHEDULED, "unstorable_error"),
        ({"how": How.HOPELESS, "error": {"code": "c", "detail": "poison"}}, Status.DEAD, "unstorable_error"),
        ({"how": How.HOPELESS, "error": {"code": "\ud83d", "detail": "half"}}, Status.DEAD, "unstorable_error"),
    ],
)
@pytest.mark.parametrize("by", [DataError, RuntimeError])  # the database refuses it, or there is a defect
def test_one_bad_end_does_not_fail_its_neighbours(
    by: type[Exception], ended: dict[str, Any], status: Status, code: str
) -> None:
    good, bad = enqueue(ECHO, Plan()), enqueue(ECHO, Plan())
    worker = leases.register(name="a", queues=["system"], slots=2)
    leases.claim_next(["system"], limit=2, worker_id=worker.pk)

    def end(job: Job, **how: Any) -> Ended:
        return Ended(job_id=job.pk, token=1, lane_id=None, parent_id=None, **how)

    with connection.execute_wrapper(partial(refuse, ["poison"], by=by)):
        assert settle([end(good, result="fine"), end(bad, **ended)]) == {good.pk, bad.pk}
    good.refresh_from_db()
    bad.refresh_from_db()
    assert (good.status, good.result) == (Status.COMPLETED, "fine")
    assert (bad.status, error_of(bad)["code"]) == (status, code)


@pytest.mark.parametrize("by", [DataError, RuntimeError])
def test_an_end_that_is_refused_in_any_words_does_not_hold_up_its_neighbours(by: type[Exception]) -> None:
    good, bad = enqueue(ECHO, Plan()), enqueue(ECHO, Plan())
    worker = leases.register(name="a", queues=["system"], slots=2)
    leases.claim_next(["system"], limit=2, worker_id=worker.pk)
    ends = [
        Ended(job_id=job.pk, token=1, lane_id=None, parent_id=None, result=result)
        for job, result in [(good, "fine"), (bad, "poison")]
    ]

    with connection.execute_wrapper(partial(refuse, ["poison", "unstorable"], by=by)):
        assert settle(ends) == {good.pk}
    assert leases.hand_back([(bad.pk, 1)]) == [bad.pk]
    bad.refresh_from_db()
    assert bad.status == Status.QUEUED


def test_the_same_key_gives_the_same_job_and_another_body_a_conflict() -> None:
    user = User.objects.create_user("ann")
    first = enqueue(ECHO, Plan(text="a"), owner=user, idempotency_key="k", scope="test:1")
    again = enqueue(ECHO, Plan(text="a"), owner=user, idempotency_key="k", scope="test:1")
    assert again.pk == first.pk
    assert Job.objects.count() == 1
    with pytest.raises(Conflict, match="another request"):
        enqueue(ECHO, Plan(text="b"), owner=user, idempotency_key="k", scope="test:1")
    other = enqueue(ECHO, Plan(text="a"), owner=User.objects.create_user("bob"), idempotency_key="k", scope="test:1")
    assert other.pk != first.pk


def test_a_key_is_forgotten_after_its_time() -> None:
    user = User.objects.create_user("ann")
    first = enqueue(ECHO, Plan(text="a"), owner=user, idempotency_key="k")
    IdempotencyKey.objects.update(at=first.created_at - timedelta(days=2))
    assert enqueue(ECHO, Plan(text="b"), owner=user, idempotency_key="k").pk != first.pk


@pytest.mark.parametrize("same", [True, False])
def test_many_callers_with_one_key_at_once_make_one_job(same: bool) -> None:
    user = User.objects.create_user("ann")
    plans = [Plan(text="a" if same else str(number)) for number in range(32)]
    answers = at_once(*[partial(enqueue, ECHO, plan, owner=user, idempotency_key="k") for plan in plans])
    first = Job.objects.get()
    refused = [answer.code for answer in answers if answer != first]
    assert refused == ([] if same else ["idempotency_mismatch"] * 31)


def test_a_job_is_enqueued_with_the_callers_transaction_or_not_at_all() -> None:
    def fails() -> None:
        with transaction.atomic():
            enqueue(ECHO, Plan())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert not Job.objects.exists()
    assert transport().length("system") == 0


def test_a_second_ledger_in_a_bare_transaction_names_the_way_out() -> None:
    def twice() -> None:
        with transaction.atomic():
            enqueue(ECHO, Plan(), scope="test:1")
            enqueue(ECHO, Plan(), scope="test:2")

    with pytest.raises(LedgerError, match="ledger"):
        twice()
    with ledger(lanes=["lane:a"]):
        enqueue(ECHO, Plan(), scope="test:1", ordering_key="lane:a")
        enqueue(ECHO, Plan(), scope="test:2", ordering_key="lane:a")
    with pytest.raises(LedgerError, match="lane:b"), ledger(lanes=["lane:a"]):
        enqueue(ECHO, Plan(), ordering_key="lane:b")
    assert Lane.objects.get(key="lane:a").next_place == 3


def test_a_wrong_payload_is_refused_with_its_path() -> None:
    with pytest.raises(Invalid) as caught:
        enqueue(ECHO, {"seconds": "soon"})
    assert set(caught.value.extra["fields"]) == {"seconds"}
    with pytest.raises(Invalid, match="NUL"):
        enqueue(ECHO, Plan(text="a\0b"))
    with pytest.raises(Invalid, match="larger"):
        enqueue(ECHO, Plan(text="x" * 100_000))


def test_a_delayed_job_takes_its_place_when_it_is_due() -> None:
    late = enqueue(ECHO, Plan(text="late"), delay=timedelta(hours=1), ordering_key="lane:a")
    enqueue(ECHO, Plan(text="soon"), ordering_key="lane:a")
    assert (late.status, late.place) == (Status.SCHEDULED, None)
    run_next()
    run_until_idle()
    assert kinds.ran == ["soon", "late"]


def test_delayed_jobs_of_one_lane_that_are_due_together_run_one_after_another() -> None:
    for text in "abc":
        enqueue(ECHO, Plan(text=text), delay=timedelta(hours=1), ordering_key="lane:a")
    Job.objects.update(scheduled_at=Now() - timedelta(seconds=1))
    run_due()
    assert list(Job.objects.order_by("place").values_list("status", flat=True)) == ["queued", "pending", "pending"]
    assert not invariants.broken(liveness=False)
    run_until_idle()
    assert kinds.ran == ["a", "b", "c"]


def test_a_job_not_started_in_time_expires_and_lets_the_next_go() -> None:
    first = enqueue(ECHO, Plan(), expires_in=timedelta(hours=1), ordering_key="lane:a", scope="test:1")
    second = enqueue(ECHO, Plan(), ordering_key="lane:a")
    Job.objects.filter(pk=first.pk).update(expires_at=first.created_at - timedelta(hours=2))
    run_expiry()
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.status, second.status) == (Status.EXPIRED, Status.QUEUED)
    assert told(first) == ["request.queued", "request.failed"]


@pytest.mark.parametrize(
    ("do", "says"),
    [
        ("twice", "used twice"),
        ("write", "outside ctx.commit"),
        ("emit", "ctx.emit"),
        ("result", "not what"),
        ("progress", "ctx.progress: not JSON"),
        ("chunk", "ctx.chunk: not text"),
        ("much", "ctx.progress: over 65536 bytes"),
        ("nan", "ctx.progress: done is not a finite number"),
        ("half", "ctx.progress: done contains characters that can't be kept"),
    ],
)
def test_a_handler_that_breaks_a_rule_is_told_so(do: str, says: str) -> None:
    job = enqueue(MISUSE, Plan(do=do))
    run_until_idle()
    job.refresh_from_db()
    assert error_of(job)["code"] == "handler_misuse"
    assert says in error_of(job)["detail"]
    assert not Scope.objects.filter(key="written outside commit").exists()


@pytest.mark.parametrize(
    ("do", "code"),
    [
        ("large", "result_too_large"),
        ("nul", "unstorable_result"),
        ("half a result", "unstorable_result"),
        ("no number", "unstorable_result"),
        ("step", "step_too_large"),
        ("half a step", "unstorable_step"),
        ("half a draft", "unstorable_draft"),
        ("half an event", "unstorable_event"),
        ("half a line", "no_way"),
        ("wordy", "no_way"),
        ("half an error", "no_way"),
        ("half a code", "no_way\ufffd"),
    ],
)
def test_a_result_that_cannot_be_stored_is_a_clear_error(do: str, code: str) -> None:
    job = enqueue(MISUSE, Plan(do=do))
    run_until_idle()
    job.refresh_from_db()
    assert error_of(job)["code"] == code
    assert len(error_of(job)["detail"]) <= 4000


def test_io_is_given_one_key_for_all_attempts_and_ends_at_the_timeout(config: object) -> None:
    job = enqueue(IO, Plan(seconds=0.0))
    run_until_idle()
    job.refresh_from_db()
    assert job.result == "answered"
    assert kinds.ran == [f"{job.public_id}:1:call"]
