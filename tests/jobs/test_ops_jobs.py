"""What operators do to jobs, and that it is all on record."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from accounts.models import AuditEntry
from jobs.errors import Conflict, Invalid, NotFound
from jobs.models import Job, Scope
from jobs.models_events import JobEvent
from jobs.operations import leases, operating
from jobs.operations.enqueue import enqueue
from jobs.operations.operator import Operator
from jobs.scheduler.due import run_due
from jobs.states import Status
from jobs.testing import run_next, run_until_idle
from jobs.transport import connect
from tests.jobs import kinds
from tests.jobs.kinds import ECHO, FAIL, PARENT, Plan

pytestmark = pytest.mark.django_db(transaction=True)

SAID = ("owner", "scope", "lane", "queue", "concurrency_key", "fair_key", "priority")
"""What a caller may have said, as it is stored."""


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    kinds.ran.clear()


@pytest.fixture
def ada() -> Operator:
    return Operator(user=User.objects.create_user("ada"), via="api")


def fresh(job: Job) -> Job:
    return Job.objects.get(pk=job.pk)


def may_begin_for(job: Job) -> timedelta:
    """How long after it was asked for the job may begin."""
    made = fresh(job)
    assert made.expires_at is not None
    return made.expires_at - made.created_at


def audit() -> list[tuple[Any, ...]]:
    return list(AuditEntry.objects.order_by("id").values_list("action", "actor_label", "target_id"))


def test_a_job_is_added_by_the_name_of_its_type(ada: Operator) -> None:
    job = operating.add("test_echo", {"text": "a"}, by=ada, scope="test:1", priority=3)
    assert (job.status, job.priority) == (Status.QUEUED, 3)
    many = operating.add_many("test_echo", [{"text": "b"}, {"text": "c"}], by=ada)
    run_until_idle()
    assert kinds.ran == ["b", "c", "a"]
    assert audit() == [("job.added", "ada", str(job.public_id)), ("job.added", "ada", str(many[0].public_id))]


def test_what_can_not_be_added_leaves_no_trace(ada: Operator) -> None:
    with pytest.raises(Invalid, match="no job type"):
        operating.add("nothing", {}, by=ada)
    with pytest.raises(Invalid) as refused:
        operating.add_many("test_echo", [{}, {"seconds": "long"}], by=ada)
    assert list(refused.value.extra["fields"]) == ["1.seconds"]
    assert not Job.objects.exists()
    assert not AuditEntry.objects.exists()


def test_a_call_off_is_recorded_with_who_did_it(ada: Operator) -> None:
    job = enqueue(ECHO, Plan(), scope="test:1")
    assert operating.cancel(job.pk, by=ada).status == Status.CANCELLED
    with pytest.raises(Conflict):
        operating.cancel(job.pk, by=ada)
    assert audit() == [("job.cancelled", "ada", str(job.public_id))]


def test_a_child_is_not_called_off_behind_its_parents_back(ada: Operator) -> None:
    parent = enqueue(PARENT, Plan())
    run_next()
    with pytest.raises(Conflict) as refused:
        operating.cancel(parent.children.get().pk, by=ada)
    assert refused.value.extra["request_id"] == str(parent.public_id)
    assert fresh(parent).status == Status.WAITING


def test_a_dead_job_runs_again_with_a_better_payload_and_both_are_recorded(ada: Operator) -> None:
    job = enqueue(FAIL, Plan(do="permanent"), ordering_key="lane:a")
    run_until_idle()
    assert fresh(job).fingerprint
    with pytest.raises(Invalid):
        operating.revive(job.pk, by=ada, payload={"seconds": "long"})
    assert fresh(job).status == Status.DEAD
    operating.revive(job.pk, by=ada, payload={"do": "recover"})
    run_until_idle()
    assert (fresh(job).status, fresh(job).fingerprint) == (Status.COMPLETED, "")
    entry = AuditEntry.objects.get()
    assert (entry.data["before"]["do"], entry.data["after"]["do"], entry.data["run"]) == ("permanent", "recover", 2)


def test_an_ended_job_is_run_again_as_a_new_one(ada: Operator) -> None:
    owner = User.objects.create_user("bea")
    old = enqueue(
        ECHO,
        Plan(text="a"),
        owner=owner,
        scope="test:1",
        ordering_key="lane:a",
        priority=4,
        timeout=timedelta(seconds=7),
        keep_for=timedelta(days=1),
        max_attempts=9,
        backoff=[1.0, 5.0],
        queue="llm",
        concurrency_key="openai/gpt-5",
        fair_key="guild:7",
        tags=["vip"],
        expires_in=timedelta(hours=2),
    )
    with pytest.raises(Conflict, match="has not ended"):
        operating.run_again(old.pk, by=ada)
    run_until_idle()
    new = operating.run_again(old.pk, by=ada)
    run_until_idle()
    assert kinds.ran == ["a", "a"]
    assert new.pk != old.pk
    for name in (*SAID, "timeout_seconds", "keep_seconds", "max_attempts", "backoff"):
        assert getattr(new, name) == getattr(old, name), name
    assert [given.tag for given in new.tags.all()] == ["vip"]
    assert abs(may_begin_for(new) - timedelta(hours=2)) < timedelta(minutes=1)
    assert AuditEntry.objects.get().data["new"] == str(new.public_id)


@pytest.mark.parametrize("do", ["permanent", "recover"])
def test_one_that_was_delayed_may_wait_no_longer_when_it_is_run_again(ada: Operator, do: str) -> None:
    old = enqueue(FAIL, Plan(do=do), delay=timedelta(days=1), expires_in=timedelta(hours=2))
    JobEvent.objects.update(at=timezone.now() - timedelta(days=1))
    Job.objects.update(created_at=timezone.now() - timedelta(days=1))
    operating.reschedule(old.pk, timezone.now(), by=ada)
    run_due()
    run_until_idle()
    assert fresh(old).ended
    assert abs(may_begin_for(operating.run_again(old.pk, by=ada)) - timedelta(hours=2)) < timedelta(minutes=1)


def test_a_promoted_job_may_wait_as_long_as_it_could_have_later(ada: Operator) -> None:
    job = enqueue(ECHO, Plan(), delay=timedelta(days=1), expires_in=timedelta(hours=2))
    assert abs(may_begin_for(operating.promote(job.pk, by=ada)) - timedelta(hours=2)) < timedelta(minutes=1)


def test_it_runs_in_its_types_queue_where_its_own_is_no_more(ada: Operator) -> None:
    old = enqueue(ECHO, Plan())
    run_until_idle()
    Job.objects.filter(pk=old.pk).update(queue="of_last_year")
    assert operating.run_again(old.pk, by=ada).queue == "system"


def test_a_delayed_job_is_promoted_once(ada: Operator) -> None:
    job = enqueue(ECHO, Plan(), delay=timedelta(days=1))
    operating.promote(job.pk, by=ada)
    run_due()
    assert fresh(job).status == Status.QUEUED
    with pytest.raises(Conflict, match="queued"):
        operating.promote(job.pk, by=ada)
    with pytest.raises(NotFound):
        operating.promote(10**9, by=ada)


def test_a_called_jobs_backoff_is_cut_short_and_all_else_is_for_its_request(ada: Operator) -> None:
    parent = enqueue(PARENT, Plan(do="fail"))
    run_next(), run_next()
    child = parent.children.get()
    assert child.status == Status.SCHEDULED
    operating.reschedule(child.pk, timezone.now() + timedelta(days=1), by=ada)
    run_due()
    assert fresh(child).status == Status.SCHEDULED
    operating.promote(child.pk, by=ada)
    run_due()
    assert fresh(child).status == Status.QUEUED
    refused: list[Callable[[], object]] = [
        lambda: operating.cancel(child.pk, by=ada),
        lambda: operating.revive(child.pk, by=ada),
        lambda: operating.run_again(child.pk, by=ada),
        lambda: operating.reprioritise(child.pk, 1, by=ada),
        lambda: operating.remove(child.pk, by=ada),
    ]
    for act in refused:
        with pytest.raises(Conflict) as error:
            act()
        assert error.value.extra["request_id"] == str(parent.public_id)


def test_a_new_priority_holds_for_tickets_that_are_out_already(ada: Operator) -> None:
    first, second = enqueue(ECHO, Plan(text="1")), enqueue(ECHO, Plan(text="2"))
    operating.reprioritise(second.pk, -5, by=ada)
    assert connect().lrange("rq:queue:system", 0, -1) == [f"{job.pk}-0".encode() for job in (second, first)]
    with pytest.raises(Invalid):
        operating.reprioritise(first.pk, 2**20, by=ada)
    run_until_idle()
    assert kinds.ran == ["2", "1"]
    with pytest.raises(Conflict):
        operating.reprioritise(first.pk, 1, by=ada)


def test_only_what_has_ended_is_removed_and_the_stream_keeps_its_numbers(ada: Operator) -> None:
    parent, other = enqueue(PARENT, Plan(), scope="test:1"), enqueue(ECHO, Plan(), scope="test:1", priority=9)
    run_next()
    with pytest.raises(Conflict, match="has ended"):
        operating.remove(parent.pk, by=ada)
    run_until_idle()
    operating.remove(parent.pk, by=ada)
    assert list(Job.objects.all()) == [other]
    assert audit() == [("job.removed", "ada", str(parent.public_id))]
    seqs = JobEvent.objects.filter(scope__key="test:1").order_by("seq").values_list("seq", flat=True)
    assert list(seqs) == list(range(1, Scope.objects.get(key="test:1").head + 1))
    assert not JobEvent.objects.filter(scope=None).exclude(job=other).exists()


def test_a_running_job_is_not_removed(ada: Operator) -> None:
    job = enqueue(ECHO, Plan())
    worker = leases.register(name="a", queues=["system"], slots=1)
    leases.claim_next(["system"], limit=1, worker_id=worker.pk)
    with pytest.raises(Conflict):
        operating.remove(job.pk, by=ada)
    assert fresh(job).status == Status.RUNNING
