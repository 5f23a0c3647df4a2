"""Wall-clock times and intervals as instants, above all where the clocks change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise, takewhile
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.recurrence import Cron, Every, check_cron, check_zone

pytestmark = pytest.mark.fast


def cron(expression: str, zone: str) -> Cron:
    return Cron(check_cron(expression), ZoneInfo(check_zone(zone)))


def ticks(of: Cron | Every, since: datetime, until: datetime) -> list[datetime]:
    """All instants later than ``since`` up to ``until``, found by going forwards."""
    found = []
    at = of.after(since)
    while at is not None and at <= until:
        found.append(at)
        at = of.after(at)
    return found


def told(expression: str, zone: str, day: str, hours: int = 24) -> list[str]:
    """What the clock on the wall says at the ticks from the first instant of this local day."""
    start = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    found = ticks(cron(expression, zone), start - timedelta(seconds=1), start + timedelta(hours=hours, seconds=-1))
    return [at.astimezone(ZoneInfo(zone)).strftime("%d %H:%M%z") for at in found]


@pytest.mark.parametrize(
    ("zone", "day", "expression", "hours", "expected"),
    [
        ("Europe/Berlin", "2026-03-29", "30 2 * * *", 23, ["29 03:00+0200"]),
        ("Europe/Berlin", "2026-03-29", "0 2 * * *", 23, ["29 03:00+0200"]),
        ("Europe/Berlin", "2026-03-29", "0,20,40 1-3 * * *", 4, [
            "29 01:00+0100", "29 01:20+0100", "29 01:40+0100", "29 03:00+0200", "29 03:20+0200", "29 03:40+0200",
        ]),
        ("Europe/Berlin", "2026-10-25", "30 2 * * *", 25, ["25 02:30+0200"]),
        ("Europe/Berlin", "2026-10-25", "0 1-4 * * *", 25, [
            "25 01:00+0200", "25 02:00+0200", "25 03:00+0100", "25 04:00+0100",
        ]),
        ("America/New_York", "2026-03-08", "15 2 * * *", 23, ["08 03:00-0400"]),
        ("America/New_York", "2026-11-01", "15 1 * * *", 25, ["01 01:15-0400"]),
        ("Australia/Lord_Howe", "2026-10-04", "15 2 * * *", 23, ["04 02:30+1100"]),
        ("Australia/Lord_Howe", "2026-04-05", "45 1 * * *", 24, ["05 01:45+1100"]),
        ("America/St_Johns", "2026-03-08", "30 2 * * *", 23, ["08 03:00-0230"]),
        ("America/Sao_Paulo", "2018-11-03", "0 0 * * *", 30, ["03 00:00-0300", "04 01:00-0200"]),
        ("Pacific/Apia", "2011-12-29", "0 12 * * *", 48, ["29 12:00-1000", "31 00:00+1400", "31 12:00+1400"]),
        ("Antarctica/Troll", "2026-03-29", "30 1,2 * * *", 22, ["29 03:00+0200"]),
        ("Africa/Casablanca", "2026-02-15", "30 2 * * *", 25, ["15 02:30+0100"]),
        ("Asia/Kolkata", "2026-03-29", "30 2 * * *", 24, ["29 02:30+0530"]),
        ("UTC", "2026-02-28", "0 0 L * *", 24, ["28 00:00+0000"]),
    ],
)  # fmt: skip
def test_a_skipped_time_comes_once_after_the_gap_and_a_doubled_one_once(
    zone: str, day: str, expression: str, hours: int, expected: list[str]
) -> None:
    assert told(expression, zone, day, hours) == expected


@pytest.mark.parametrize("fold", [0, 1])
def test_asked_within_the_doubled_hour_the_next_tick_is_after_it(fold: int) -> None:
    zone = ZoneInfo("Europe/Berlin")
    within = datetime(2026, 10, 25, 2, 45, fold=fold, tzinfo=zone).astimezone(UTC)
    assert cron("30 * * * *", "Europe/Berlin").after(within) == datetime(2026, 10, 25, 2, 30, tzinfo=UTC)


def test_asked_within_the_second_of_two_equal_hours_the_ticks_of_the_first_lie_behind() -> None:
    now = datetime(2026, 10, 25, 2, 5, fold=1, tzinfo=ZoneInfo("Europe/Berlin")).astimezone(UTC)
    latest = next(cron("*/10 * * * *", "Europe/Berlin").back_from(now))
    assert latest == datetime(2026, 10, 25, 0, 50, tzinfo=UTC)


ZONES = (
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "Africa/Cairo",
    "Pacific/Apia",
)
DAYS = ("2026-03-07", "2026-03-28", "2026-04-04", "2026-04-23", "2026-10-24", "2026-10-31", "2018-11-03", "2011-12-29")


@settings(max_examples=40)
@given(
    zone=st.sampled_from(ZONES),
    day=st.sampled_from(DAYS),
    expression=st.sampled_from(["*/20 * * * *", "30 * * * *", "30 1,2 * * *", "7 0-4/2 * * *", "0 0 * * *"]),
    minutes=st.integers(0, 3 * 1440),
)
def test_backwards_there_are_the_same_ticks_as_forwards(zone: str, day: str, expression: str, minutes: int) -> None:
    start = datetime.fromisoformat(day).replace(tzinfo=UTC)
    until = start + timedelta(minutes=minutes)
    of = cron(expression, zone)
    forwards = ticks(of, start, until)
    assert all(earlier < later for earlier, later in pairwise(forwards))
    assert list(takewhile(lambda at: at > start, of.back_from(until)))[::-1] == forwards


def test_an_interval_keeps_its_distance_over_every_change_of_the_clocks() -> None:
    every = Every(5400, datetime(2026, 3, 28, tzinfo=ZoneInfo("Europe/Berlin")).astimezone(UTC))
    found = ticks(every, every.anchor, every.anchor + timedelta(days=2))
    assert {later - earlier for earlier, later in pairwise(found)} == {timedelta(seconds=5400)}
    assert list(islice(every.back_from(found[-1]), len(found)))[::-1] == found


def test_an_interval_ticks_at_its_start_and_not_before_it() -> None:
    every = Every(60, datetime(2026, 1, 1, tzinfo=UTC))
    assert every.after(every.anchor - timedelta(microseconds=1)) == every.anchor
    assert every.after(every.anchor) == every.anchor + timedelta(seconds=60)


@pytest.mark.parametrize(
    "expression",
    ["", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", "*/0 * * * *",
     "0 0 31 2 *", "@reboot", "@never", "H * * * *", "r(0-5) * * * *", "1,R * * * *", "-1 * * * *", "x * * * *",
     "0 0 * * 5#9", "٣ * * * *", "1-99999999999999999999 * * * *", "* * * * *\0"],
)  # fmt: skip
def test_an_expression_that_names_no_times_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        check_cron(expression)


@settings(max_examples=300)
@given(st.text("0123456789*/,-#?LWHRlwhr@adimnou ", max_size=20) | st.text(max_size=20))
def test_any_text_is_an_expression_or_refused(text: str) -> None:
    try:
        expression = check_cron(text)
    except ValueError:
        return
    assert Cron(expression, ZoneInfo("UTC")).after(datetime(2026, 1, 1, tzinfo=UTC)) is not None
    assert next(Cron(expression, ZoneInfo("UTC")).back_from(datetime(2026, 1, 1, tzinfo=UTC)), None) is not None


@pytest.mark.parametrize("expression", ["@hourly", "@daily", "*/15 9-17 * * mon-fri", "0 0 29 2 *", "0 0 L * *"])
def test_usual_expressions_are_taken(expression: str) -> None:
    assert check_cron(f" {expression.replace(' ', '  ')} ") == expression


@pytest.mark.parametrize(
    "name", ["", "Berlin", "europe/berlin", "../../etc/passwd", "UTC\0", "Europe/", "/etc/localtime"]
)
def test_a_zone_that_does_not_exist_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no such time zone"):
        check_zone(name)
