"""When something that repeats is due: at wall-clock times of a zone, or at a fixed distance.

A wall-clock time names one instant and no more: one that the clocks skip is due at the end of the gap (and all of
the gap's together once), one that they show twice is due the first time. So the instants never go back, and
whoever wants every hour of elapsed time takes an interval.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Protocol
from zoneinfo import ZoneInfo, available_timezones

from croniter import croniter

FIELDS = re.compile(r"[0-9A-Za-z*/,#?-]+( +[0-9A-Za-z*/,#?-]+){4}", re.ASCII)
CHANCE = re.compile(r"(^|[ ,])[hr]([ ,(/]|$)", re.IGNORECASE)
NICKNAMES = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")


class Recurrence(Protocol):
    """Instants in UTC, in order and without end on either side."""

    def after(self, instant: datetime) -> datetime | None:
        """The first one later than ``instant``; ``None`` if there is none for decades."""

    def back_from(self, instant: datetime) -> Iterator[datetime]:
        """Those up to and including ``instant``, the latest first."""


@dataclass(frozen=True)
class Every:
    """Every so many seconds, counted from ``anchor``."""

    seconds: int
    anchor: datetime

    def after(self, instant: datetime) -> datetime:
        return self._number((instant - self.anchor) // timedelta(seconds=self.seconds) + 1)

    def back_from(self, instant: datetime) -> Iterator[datetime]:
        number = (instant - self.anchor) // timedelta(seconds=self.seconds)
        while True:
            yield self._number(number)
            number -= 1

    def _number(self, number: int) -> datetime:
        return self.anchor + number * timedelta(seconds=self.seconds)


@dataclass(frozen=True)
class Cron:
    """Wall-clock times by a checked cron expression of five fields, in a zone."""

    expression: str
    zone: ZoneInfo

    def after(self, instant: datetime) -> datetime | None:
        wall = croniter(self.expression, instant.astimezone(self.zone).replace(tzinfo=None, fold=0))
        while (time := _step(wall, forward=True)) is not None:
            if (at := self._instant(time)) > instant:
                return at
        return None

    def back_from(self, instant: datetime) -> Iterator[datetime]:
        local = instant.astimezone(self.zone)
        # In the second of two equal hours all times of both are over, the later ones too.
        latest = local.replace(tzinfo=None, fold=0) + (_offset(local.replace(fold=0)) - _offset(local))
        wall = croniter(self.expression, latest + timedelta(microseconds=1))
        seen = None
        while (time := _step(wall, forward=False)) is not None:
            at = self._instant(time)
            if at <= instant and at != seen:
                yield at
            seen = at

    def _instant(self, wall: datetime) -> datetime:
        early = wall.replace(tzinfo=self.zone, fold=1).astimezone(UTC)
        late = wall.replace(tzinfo=self.zone, fold=0).astimezone(UTC)
        if late <= early:
            return late
        # Skipped: the gap ends where the offset changes, somewhere between the two readings.
        before = _offset(early.astimezone(self.zone))
        seconds = range(int((late - early).total_seconds()))
        return early + timedelta(
            seconds=bisect_left(
                seconds, True, key=lambda s: _offset((early + timedelta(seconds=s)).astimezone(self.zone)) != before
            )
        )


def _step(wall: croniter, *, forward: bool) -> datetime | None:
    try:
        found: datetime = (wall.get_next if forward else wall.get_prev)(datetime)
    except ValueError:  # croniter gave up looking
        return None
    return found


def _offset(local: datetime) -> timedelta:
    return local.utcoffset() or timedelta()


def check_cron(expression: str) -> str:
    """The expression with single spaces; ``ValueError`` says what is wrong with it."""
    expression = " ".join(expression.split(" ")).strip()
    if expression not in NICKNAMES:
        if not FIELDS.fullmatch(expression):
            raise ValueError(f"write five fields (minute hour day month weekday), or one of {', '.join(NICKNAMES)}")
        if CHANCE.search(expression):
            raise ValueError("H and R leave the time to chance, which a schedule can't")
    try:
        wall = croniter(expression, datetime(2000, 1, 1))  # noqa: DTZ001 - wall-clock time
    except (ValueError, TypeError) as error:
        raise ValueError(str(error)) from None
    if _step(wall, forward=True) is None:
        raise ValueError("there is no such day")
    return re.sub(" +", " ", expression)


@cache
def zones() -> frozenset[str]:
    """The names of the time zones that this machine knows."""
    return frozenset(available_timezones())


def check_zone(name: str) -> str:
    """The name; ``ValueError`` if it is not a time zone's."""
    if name not in zones():
        raise ValueError("no such time zone: write one like Europe/Berlin or UTC")
    return name
