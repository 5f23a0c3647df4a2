"""Limits of keys: how many of those who need the same thing may run at once, and wait with it in hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from jobs import queue_settings
from jobs.errors import Invalid
from jobs.models import Job
from jobs.operations import controls, permits
from jobs.operations.enqueue import enqueue
from jobs.operations.outcomes import How
from jobs.states import Status
from jobs.testing import run_next, run_until_idle
from queueproject.env import QueueDefaults
from tests.jobs.kinds import CHILD, ECHO, FAMILY, PARENT, TAGGED, Plan
from tests.jobs.under_limits import ask, claim, end, held_back, limit

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("nothing_kept")]

Config = Callable[..., None]


def test_a_permit_of_a_key_is_held_through_waits() -> None:
    limit("openai", 1)
    first = enqueue(PARENT, Plan(text="a"), concurrency_key="openai/gpt-5")
    second = enqueue(ECHO, Plan(), concurrency_key="openai/gpt-4")
    run_next()  # the parent waits for its child now
    first.refresh_from_db()
    assert first.status == Status.WAITING
    assert claim() == []
    second.refresh_from_db()
    assert second.held_back_by == "openai"
    run_until_idle()
    second.refresh_from_db()
    assert second.status == Status.COMPLETED


def test_a_permit_of_a_key_is_held_through_the_backoff() -> None:
    limit("openai", 1)
    ask(2, concurrency_key="openai")
    (job,) = claim()
    assert claim() == []
    end(job, how=How.FAILED)
    job.refresh_from_db()
    assert job.status == Status.SCHEDULED
    permits.let_in_all()
    assert claim() == []
    assert held_back() == 1


def test_two_limits_hold_at_once() -> None:
    limit("openai", 3)
    limit("openai/gpt-5", 1)
    ask(3, concurrency_key="openai/gpt-5")
    ask(4, concurrency_key="openai/gpt-4")
    running = claim()
    assert sorted(job.concurrency_key for job in running) == ["openai/gpt-4"] * 2 + ["openai/gpt-5"]
    assert set(Job.objects.exclude(held_back_by="").values_list("held_back_by", flat=True)) == {
        "openai",
        "openai/gpt-5",
    }


def test_limits_of_the_environment_hold_until_the_admin_says_otherwise(config: Config) -> None:
    config(concurrency_limits={"slow": 1}, queue_settings={"system": QueueDefaults(concurrency=9, max_attempts=7)})
    queue_settings.forget()
    jobs = ask(3, concurrency_key="slow")
    assert jobs[0].max_attempts == 7
    assert len(claim()) == 1
    limit("slow", 2)
    permits.let_in_all()
    assert len(claim()) == 1


def test_a_child_that_needs_its_requests_own_key_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    object.__setattr__(CHILD, "concurrency_key", "openai")
    try:
        job = enqueue(PARENT, Plan(), concurrency_key="openai/gpt-5", max_attempts=1)
        run_next()
    finally:
        object.__setattr__(CHILD, "concurrency_key", "")
    job.refresh_from_db()
    assert job.error
    assert "'openai', which the request itself holds" in job.error["detail"]


@pytest.fixture
def keyed_children() -> Iterator[None]:
    """Two job types that requests call need permits of one limit."""
    object.__setattr__(CHILD, "concurrency_key", "openai/a")
    object.__setattr__(TAGGED, "concurrency_key", "openai/b")
    limit("openai", 1)
    yield
    object.__setattr__(CHILD, "concurrency_key", "")
    object.__setattr__(TAGGED, "concurrency_key", "")


@pytest.mark.usefixtures("keyed_children")
def test_children_of_one_key_are_called_one_after_another_and_again_by_the_next_run() -> None:
    job = enqueue(FAMILY, Plan(do="fail"))
    run_until_idle()
    job.refresh_from_db()
    assert job.error
    assert (job.status, job.error["code"]) == (Status.DEAD, "no_way")
    controls.revive(job.pk, payload={"do": "echo"})
    run_until_idle()
    job.refresh_from_db()
    assert (job.status, job.children.count()) == (Status.COMPLETED, 6)


@pytest.mark.usefixtures("keyed_children")
def test_a_child_of_a_child_is_refused_the_key_that_the_request_holds() -> None:
    enqueue(FAMILY, Plan(do="nest"), concurrency_key="openai/gpt-5")
    run_until_idle()
    error = Job.objects.get(type=PARENT.name).error
    assert error
    assert "'openai', which the request itself holds" in error["detail"]


@pytest.mark.parametrize("key", ["queue:llm", "a//b", "a b", "ü", "/a"])
def test_a_key_that_is_none_is_refused(key: str) -> None:
    with pytest.raises(Invalid, match="concurrency_key: names parted by /"):
        ask(1, concurrency_key=key)
