"""Schedules: each tick at most one job, at the right instant, and what people and the code may change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection

from accounts.models import AuditEntry
from jobs import failpoints, schedules
from jobs.errors import Conflict, Invalid, NotFound
from jobs.failpoints import FailpointRaised
from jobs.models import Job
from jobs.models_schedules import Schedule, ScheduleTick
from jobs.operations import ticks
from jobs.operations.schedules import change, create, delete, pause, reset, resume, run
from jobs.scheduler.repeats import Repeats
from jobs.states import Status
from jobs.testing import run_until_idle
from tests.jobs.kinds import ECHO, Plan
from tests.processes import Stack
from tests.together import at_once
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
HOURLY = {"job_type": "test_echo", "payload": {"text": "tick"}, "interval_seconds": 3600}


@pytest.fixture(autouse=True)
def _no_declarations(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(schedules, "_declared", {})
    yield
    failpoints.disarm()


@pytest.fixture
def staff() -> User:
    return User.objects.create_superuser("ops")


def hourly(late: timedelta = timedelta(), **fields: Any) -> Schedule:
    """A schedule that ticks every hour, the last time one second ago, and has been dealt with up to ``late`` ago."""
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=1, days=300)
    schedule = create(name="hourly", fields={**HOURLY, "starts_at": start, **fields}, by=None)
    next_at = start + timedelta(days=300) - late
    Schedule.objects.update(next_at=next_at)
    schedule.refresh_from_db()
    return schedule


def outcomes() -> list[str]:
    return list(ScheduleTick.objects.order_by("at").values_list("outcome", flat=True))


def fresh(schedule: Schedule) -> Schedule:
    return Schedule.objects.get(pk=schedule.pk)


def test_a_due_tick_makes_its_job_once_and_the_next_one_is_an_hour_later() -> None:
    schedule = hourly()
    assert schedule.next_at is not None
    (tick,) = ticks.fire(schedule.pk)
    assert ticks.fire(schedule.pk) == []
    job = Job.objects.get()
    assert (tick.job, job.type, job.payload["text"], job.status) == (job, "test_echo", "tick", Status.QUEUED)
    assert fresh(schedule).next_at == schedule.next_at + timedelta(hours=1)
    run_until_idle()
    assert Job.objects.get().status == Status.COMPLETED


def test_a_tick_that_is_not_due_makes_nothing() -> None:
    schedule = hourly(late=timedelta(hours=-1))
    assert ticks.fire(schedule.pk) == []
    Repeats()()
    assert not Job.objects.exists()


@pytest.mark.parametrize(("catch_up", "made"), [(0, 1), (1, 1), (3, 3)])
def test_after_days_of_downtime_only_the_latest_ticks_run_and_the_rest_are_said_to_be_missed(
    catch_up: int, made: int
) -> None:
    schedule = hourly(late=timedelta(days=5), catch_up=catch_up)
    fired = ticks.fire(schedule.pk)
    assert Job.objects.count() == made
    assert outcomes() == ["missed", *["enqueued"] * made]
    assert {later.at - earlier.at for earlier, later in pairwise(fired)} == {timedelta(hours=1)}
    assert ticks.fire(schedule.pk) == []


def test_a_tick_missed_by_more_than_the_grace_is_skipped(config: Callable[..., None]) -> None:
    schedule = hourly()
    config(schedule_grace_seconds=0.001)
    assert [tick.outcome for tick in ticks.fire(schedule.pk)] == ["missed"]
    assert not Job.objects.exists()


def test_catching_up_all_ticks_of_a_short_downtime_misses_none() -> None:
    ticks.fire(hourly(late=timedelta(hours=2), catch_up=5).pk)
    assert outcomes() == ["enqueued"] * 3


def test_ticks_every_second_are_bounded_after_a_downtime(config: Callable[..., None]) -> None:
    config(schedule_catch_up_limit=7)
    schedule = hourly(late=timedelta(days=30), interval_seconds=1)
    ticks.fire(schedule.pk)
    assert outcomes() == ["missed", *["enqueued"] * 7]


def test_nothing_is_left_of_a_tick_whose_transaction_fails_and_the_next_try_makes_one_job() -> None:
    schedule = hourly()
    failpoints.arm_from("in_fire=raise@1")
    with pytest.raises(FailpointRaised):
        ticks.fire(schedule.pk)
    assert not Job.objects.exists()
    assert not ScheduleTick.objects.exists()
    Repeats()()
    Repeats()()
    assert Job.objects.count() == 1


def test_many_schedulers_at_once_make_one_job() -> None:
    schedule = hourly()
    at_once(*[lambda: ticks.fire(schedule.pk)] * 6)
    assert Job.objects.count() == ScheduleTick.objects.count() == 1


def test_a_tick_that_was_dealt_with_is_not_repeated_when_the_clock_goes_back() -> None:
    schedule = hourly()
    ticks.fire(schedule.pk)
    run_until_idle()
    Schedule.objects.update(next_at=schedule.next_at)
    ticks.fire(schedule.pk)
    assert Job.objects.count() == 1


def test_a_schedule_that_leaves_overlaps_out_waits_for_its_job() -> None:
    schedule = hourly(late=timedelta(hours=1), catch_up=2, overlap="skip")
    ticks.fire(schedule.pk)
    assert outcomes() == ["enqueued", "overlapped"]
    run_until_idle()
    Schedule.objects.update(next_at=schedule.recurrence.after(datetime.now(UTC) - timedelta(hours=2)))
    ScheduleTick.objects.all().delete()
    ticks.fire(schedule.pk)
    assert Job.objects.count() == 2


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [({"job_type": "gone"}, "there is no job type 'gone'"), ({"payload": {"seconds": "long"}}, "seconds: Input")],
)
def test_a_tick_whose_job_is_refused_says_why_and_the_schedule_goes_on(wrong: dict[str, Any], reason: str) -> None:
    schedule = hourly()
    Schedule.objects.update(**wrong)
    Repeats()()
    tick = ScheduleTick.objects.get()
    assert (tick.outcome, tick.job) == ("refused", None)
    assert reason in tick.detail
    assert fresh(schedule).next_at > schedule.next_at  # type: ignore[operator]


def test_a_schedule_that_fails_does_not_stop_the_others() -> None:
    create(name="broken", fields=HOURLY, by=None)
    hourly()
    Schedule.objects.filter(name="broken").update(
        interval_seconds=None, cron="nonsense", next_at=datetime(2026, 1, 1, tzinfo=UTC)
    )
    Repeats()()
    assert Job.objects.count() == 1


def test_a_paused_schedule_does_not_tick_and_makes_up_for_nothing(staff: User) -> None:
    schedule = hourly(late=timedelta(days=1), catch_up=3)
    pause(name="hourly", by=staff)
    pause(name="hourly", by=staff)
    Repeats()()
    assert fresh(schedule).next_at is None
    resumed = resume(name="hourly", by=staff)
    assert resumed.next_at is not None
    assert resumed.next_at > datetime.now(UTC)
    Repeats()()
    assert not Job.objects.exists()
    actions = AuditEntry.objects.order_by("id").values_list("action", flat=True)
    assert list(actions) == ["schedule.created", "schedule.paused", "schedule.resumed"]


def test_run_now_makes_a_job_beside_the_ticks_also_while_paused(staff: User) -> None:
    schedule = hourly()
    pause(name="hourly", by=staff)
    job = run(name="hourly", by=staff, idempotency_key="click")
    assert run(name="hourly", by=staff, idempotency_key="click") == job
    assert run(name="hourly", by=staff) != job
    assert job.owner == staff
    assert ScheduleTick.objects.filter(schedule=schedule, manual=True).count() == 2
    assert AuditEntry.objects.filter(action="schedule.run", actor=staff).count() == 2


def test_another_timing_counts_from_now(staff: User) -> None:
    hourly(late=timedelta(days=1))
    changed = change(name="hourly", fields={"interval_seconds": None, "cron": "0 0 1 1 *"}, by=staff)
    assert changed.next_at == datetime(datetime.now(UTC).year + 1, 1, 1, tzinfo=UTC)
    Repeats()()
    assert not Job.objects.exists()
    entry = AuditEntry.objects.get(action="schedule.changed")
    assert entry.data["changed"] == {"cron": ["", "0 0 1 1 *"], "interval_seconds": [3600, None]}


def test_a_change_of_something_else_loses_no_tick(staff: User) -> None:
    hourly()
    change(name="hourly", fields={"priority": 5}, by=staff)
    Repeats()()
    assert Job.objects.get().priority == 5


def test_a_schedule_ticks_between_its_start_and_its_end() -> None:
    start = datetime.now(UTC) + timedelta(hours=2)
    fields = {**HOURLY, "starts_at": start, "ends_at": start + timedelta(minutes=90)}
    schedule = create(name="brief", fields=fields, by=None)
    assert list(schedule.upcoming()) == [start, start + timedelta(hours=1)]
    past = {**HOURLY, "ends_at": datetime(2020, 1, 1, tzinfo=UTC)}
    assert create(name="over", fields=past, by=None).next_at is None


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"interval_seconds": None, "cron": "61 * * * *"}, "cron"),
        ({"interval_seconds": None, "cron": "* * * * * *"}, "cron"),
        ({"interval_seconds": None, "cron": "R * * * *"}, "cron"),
        ({"interval_seconds": None, "cron": "0 0 30 2 *"}, "cron"),
        ({"interval_seconds": None, "cron": "x" * 5000}, "cron"),
        ({"interval_seconds": None, "cron": "\0"}, "cron"),
        ({"cron": "@daily"}, "schedule"),
        ({"interval_seconds": None}, "schedule"),
        ({"interval_seconds": 0}, "interval_seconds"),
        ({"interval_seconds": 10**30}, "interval_seconds"),
        ({"time_zone": "Mars/Olympus"}, "time_zone"),
        ({"time_zone": "../../etc/passwd"}, "time_zone"),
        ({"starts_at": "2026-01-01T00:00:00"}, "starts_at"),
        ({"starts_at": "9999-12-31T23:59:59Z"}, "starts_at"),
        ({"starts_at": "2026-01-02T00:00:00Z", "ends_at": "2026-01-01T00:00:00Z"}, "schedule"),
        ({"catch_up": -1}, "catch_up"),
        ({"catch_up": 101}, "catch_up"),
        ({"overlap": "maybe"}, "overlap"),
        ({"priority": 10**9}, "priority"),
        ({"job_type": "gone"}, "job_type"),
        ({"payload": {"seconds": "long"}}, "payload.seconds"),
        ({"payload": {"text": "a\0b"}}, "payload.text"),
        ({"payload": {"text": "x" * 70000}}, "payload"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_wrong_fields_are_refused_by_name(fields: dict[str, Any], path: str) -> None:
    with pytest.raises(Invalid) as refusal:
        create(name="wrong", fields={**HOURLY, **fields}, by=None)
    assert list(refusal.value.extra["fields"]) == [path]
    assert not Schedule.objects.exists()


@pytest.mark.parametrize("name", ["", "Upper", "a b", "../x", "-", "x\n", "a/b", "a.b", "x" * 101, "a\0"])
def test_a_name_that_does_not_fit_an_address_is_refused(name: str) -> None:
    with pytest.raises(Invalid, match="wrong"):
        create(name=name, fields=HOURLY, by=None)


def test_a_name_is_taken_once(staff: User) -> None:
    hourly()
    with pytest.raises(Conflict, match="already"):
        create(name="hourly", fields=HOURLY, by=staff)
    with pytest.raises(NotFound):
        pause(name="other", by=staff)


def test_a_deleted_schedule_leaves_its_jobs(staff: User) -> None:
    ticks.fire(hourly().pk)
    delete(name="hourly", by=staff)
    assert Job.objects.exists()
    assert not ScheduleTick.objects.exists()
    assert AuditEntry.objects.get(action="schedule.deleted").data["name"] == "hourly"


def test_the_code_declares_a_schedule_and_staff_override_it(staff: User, monkeypatch: pytest.MonkeyPatch) -> None:
    schedules.declare("nightly", ECHO, Plan(text="one"), cron="0 4 * * *", time_zone="Europe/Berlin")
    Repeats()()
    stored = Schedule.objects.get(name="nightly")
    assert (stored.job_type, stored.cron, stored.payload["text"]) == ("test_echo", "0 4 * * *", "one")
    change(name="nightly", fields={"cron": "0 5 * * *"}, by=staff)

    monkeypatch.setattr(schedules, "_declared", {})
    schedules.declare("nightly", ECHO, Plan(text="two"), interval_seconds=60)
    Repeats()()
    stored.refresh_from_db()
    assert (stored.cron, stored.interval_seconds, stored.payload["text"]) == ("0 5 * * *", None, "two")
    with pytest.raises(Conflict, match="pause it"):
        delete(name="nightly", by=staff)
    assert reset(name="nightly", by=staff).interval_seconds == 60
    entries = AuditEntry.objects.count()
    Repeats()()
    assert AuditEntry.objects.count() == entries


def test_a_schedule_that_the_code_drops_stops_and_comes_back_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    schedules.declare("nightly", ECHO, Plan(), cron="@daily")
    Repeats()()
    with monkeypatch.context() as without:
        without.setattr(schedules, "_declared", {})
        Repeats()()
        assert Schedule.objects.get().next_at is None
        assert Schedule.objects.get().retired_at is not None
    Repeats()()
    assert Schedule.objects.get().next_at is not None
    assert Schedule.objects.get().retired_at is None


def test_a_wrong_declaration_stops_the_start() -> None:
    with pytest.raises(ValueError, match="no such time zone"):
        schedules.declare("nightly", ECHO, Plan(), cron="@daily", time_zone="Nowhere")
    schedules.declare("nightly", ECHO, Plan(), cron="@daily")
    with pytest.raises(ValueError, match="twice"):
        schedules.declare("nightly", ECHO, Plan(), cron="@daily")


def test_old_ticks_are_forgotten(config: Callable[..., None]) -> None:
    schedule = hourly()
    ticks.fire(schedule.pk)
    config(schedule_keep_seconds=0.001)
    Repeats()()
    assert not ScheduleTick.objects.exists()
    assert Job.objects.exists()


@pytest.mark.chaos
def test_two_schedulers_of_which_one_dies_between_make_each_tick_once(stack: Stack) -> None:
    first = often()
    stack.start("scheduler", FAILPOINTS="in_fire=exit@2")
    assert stack.wait("scheduler") == 9
    stack.start("scheduler.2", "scheduler.3", FAILPOINTS="")
    wait_until(lambda: ScheduleTick.objects.count() >= 4, timeout=60)
    stack.kill9("scheduler.2")
    wait_until(lambda: ScheduleTick.objects.count() >= 6, timeout=60)
    stack.stop("scheduler.3")
    assert_each_tick_once(first)


@pytest.mark.chaos
@pytest.mark.skipif(connection.vendor == "sqlite", reason="while it pauses in a transaction nobody else can lead")
def test_a_scheduler_that_wakes_up_in_the_middle_of_a_tick_doubles_nothing(stack: Stack) -> None:
    first = often()
    stack.start("scheduler", FAILPOINTS="in_fire=pause:3@2")
    stack.start("scheduler.2", FAILPOINTS="")
    wait_until(lambda: "leads" in stack.log("scheduler.2"), timeout=60)
    wait_until(lambda: ScheduleTick.objects.count() >= 6, timeout=60)
    stack.stop("scheduler")
    stack.stop("scheduler.2")
    assert_each_tick_once(first)


def often() -> datetime:
    """The first tick of a schedule that ticks every second."""
    start = datetime.now(UTC).replace(microsecond=0)
    first = create(name="often", fields={**HOURLY, "interval_seconds": 1, "starts_at": start}, by=None).next_at
    assert first is not None
    assert first > start
    return first


def assert_each_tick_once(first: datetime) -> None:
    made = list(ScheduleTick.objects.order_by("at"))
    assert {tick.outcome for tick in made} == {"enqueued"}
    assert [tick.at for tick in made] == [first + timedelta(seconds=n) for n in range(len(made))]
    assert Job.objects.count() == len(made)
