"""How fast and how much one may ask for, and how refusals are counted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from datetime import timedelta
from functools import partial
from time import sleep

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError, connection, transaction
from django.db.models import F
from django.test import Client

from jobs import queue_settings, refusals
from jobs.errors import Refused
from jobs.models import Job
from jobs.models_limits import Bucket
from jobs.models_metrics import QueueSettings, Rollup
from jobs.operations import admission, controls
from jobs.operations.asking import OptionFields
from jobs.operations.enqueue import enqueue, enqueue_many
from jobs.rates import BadRate, Rate, parse_rates
from jobs.states import Status
from jobs.testing import run_next, run_until_idle
from tests.jobs.kinds import ECHO, PARENT, Plan
from tests.jobs.under_limits import ask, bound
from tests.together import at_once
from tests.touched import sqlite_scans

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("nothing_kept")]

Config = Callable[..., None]


def test_rates_are_read_as_people_write_them() -> None:
    assert parse_rates("30/minute, 5/10 seconds,1000/day") == (Rate(30, 60), Rate(5, 10), Rate(1000, 86400))
    for wrong in ("30", "0/minute", "3/fortnight", "x/day", "5/0 seconds"):
        with pytest.raises(BadRate, match="is no rate"):
            parse_rates(wrong)


def test_of_two_rates_of_one_window_the_stricter_holds() -> None:
    assert parse_rates("10/minute, 5/60 seconds, 5/minute, 100/day") == (Rate(5, 60), Rate(100, 86400))
    bound(rate="10/minute, 5/60 seconds")
    ask(5)
    with pytest.raises(Refused):
        ask(1)


def test_a_scope_named_like_a_user_is_not_counted_as_that_user() -> None:
    bound(rate_per_user="4/minute", rate_per_scope="4/minute")
    anna = User.objects.create_user("anna")
    ask(4, owner=anna, scope=f"user:{anna.pk}")
    with pytest.raises(Refused):
        ask(1, owner=anna)
    with pytest.raises(Refused):
        ask(1, scope=f"user:{anna.pk}")


def test_who_asks_too_fast_is_told_which_limit_and_when_it_ends() -> None:
    bound(rate_per_user="3/minute, 1000/day")
    anna, ben = User.objects.create_user("anna"), User.objects.create_user("ben")
    ask(3, owner=anna)
    with pytest.raises(Refused) as refused:
        ask(1, owner=anna)
    assert refused.value.extra["limit"] == "system 3/minute for one user"
    assert 19 < refused.value.retry_after <= 20
    assert Job.objects.count() == 3
    ask(1, owner=ben)
    Bucket.objects.update(used_until=F("used_until") - timedelta(seconds=20))
    ask(1, owner=anna)
    with pytest.raises(Refused):
        ask(1, owner=anna)


def test_a_refused_request_uses_nothing_up() -> None:
    bound(rate="4/minute", rate_per_user="2/minute")
    anna = User.objects.create_user("anna")
    ask(2, owner=anna)
    for _ in range(5):
        with pytest.raises(Refused):
            ask(1, owner=anna)
    ask(2)
    with pytest.raises(Refused, match="in all"):
        ask(1)


def test_many_at_once_count_as_many() -> None:
    bound(rate="10/minute")
    enqueue_many(ECHO, [Plan()] * 8)
    with pytest.raises(Refused):
        enqueue_many(ECHO, [Plan()] * 3)
    enqueue_many(ECHO, [Plan()] * 2)


def test_more_than_may_wait_are_refused_until_some_have_begun() -> None:
    bound(waiting_per_scope=2)
    options: OptionFields = {"scope": "game:1"}
    ask(2, **options)
    with pytest.raises(Refused) as refused:
        ask(1, **options)
    assert refused.value.code == "too_many_waiting"
    assert refused.value.extra["limit"] == "system 2 waiting here"
    ask(1, scope="game:2")
    run_next()
    ask(1, **options)


def test_children_are_never_refused() -> None:
    QueueSettings.objects.create(queue="llm", rate="1/day", waiting=1)
    queue_settings.forget()
    jobs = [enqueue(PARENT, Plan(text="x")) for _ in range(3)]
    run_until_idle()
    assert {Job.objects.get(pk=job.pk).status for job in jobs} == {Status.COMPLETED}


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL is asked how many rows it has read")
def test_sqlite_too_finds_by_index_who_waits() -> None:
    owner = User.objects.create_user("anna")
    bound(waiting=3, waiting_per_user=3, waiting_per_scope=3)
    assert sqlite_scans("jobs_job", lambda: ask(3, owner=owner, scope="test:1")) == []
    with pytest.raises(Refused):
        ask(1)


def test_a_cap_holds_when_many_ask_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    bound(waiting_per_user=5)
    owner = User.objects.create_user("anna")
    controls.cancel(ask(1, owner=owner)[0].pk)  # from the first on the row that is locked is there
    refuse = admission._refuse_waiting

    def count_slowly(rule: admission.Rule, jobs: Sequence[Job]) -> None:
        refuse(rule, jobs)
        sleep(0.02)  # so that those who count overlap

    monkeypatch.setattr(admission, "_refuse_waiting", count_slowly)

    outcomes = at_once(*[partial(ask, 1, owner=owner)] * 16)
    assert sum(isinstance(outcome, Refused) for outcome in outcomes) == 11


@pytest.fixture
def _nothing_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "_next_write", 0.0)
    refusals.write()
    monkeypatch.setattr(refusals, "_next_write", 0.0)
    Rollup.objects.all().delete()
    bound(rate="1/day")
    ask(1)


def refused() -> int:
    """How many refusals are on record."""
    return sum(Rollup.objects.filter(queue="system", measure=refusals.MEASURE).values_list("count", flat=True))


@pytest.mark.usefixtures("_nothing_refused")
def test_refusals_are_counted(config: Config) -> None:
    config(tick_seconds=0.0001)
    for _ in range(3):
        with pytest.raises(Refused):
            ask(1)
    refusals.write()
    assert refused() == 3


@pytest.mark.usefixtures("_nothing_refused")
@pytest.mark.parametrize("own", [False, True], ids=["", "in a transaction of the caller's"])
def test_refusals_within_a_tick_are_written_when_a_request_has_been_answered(
    config: Config, monkeypatch: pytest.MonkeyPatch, client: Client, own: bool
) -> None:
    config(tick_seconds=60)
    for _ in range(5):
        with pytest.raises(Refused), transaction.atomic() if own else nullcontext():
            ask(1)
    assert refused() == (0 if own else 1)
    monkeypatch.setattr(refusals, "_next_write", 0.0)
    client.get("/")
    assert refused() == 5


@pytest.mark.usefixtures("_nothing_refused")
def test_refusals_that_the_database_did_not_take_are_kept(monkeypatch: pytest.MonkeyPatch, config: Config) -> None:
    config(tick_seconds=0.0001)

    def away(taken: object) -> None:
        raise OperationalError

    with monkeypatch.context() as broken_down:
        broken_down.setattr(refusals, "_insert", away)
        with pytest.raises(Refused):
            ask(1)
    with pytest.raises(Refused):
        ask(1)
    assert refused() == 2
