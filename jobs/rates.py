"""Rates as people write them: ``30/minute, 1000/day``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
"""Seconds of each unit."""

_RATE = re.compile(r"(\d{1,9})\s*/\s*(?:(\d{1,6})\s*)?(second|minute|hour|day)s?")


class BadRate(ValueError):
    """A text that is no rate; the message says how to write one."""


@dataclass(frozen=True)
class Rate:
    """At most ``count`` in any ``seconds``."""

    count: int
    seconds: float

    def __str__(self) -> str:
        unit = next((name for name, size in UNITS.items() if size == self.seconds), None)
        return f"{self.count}/{unit}" if unit else f"{self.count}/{self.seconds:g} seconds"


@lru_cache(maxsize=256)
def parse_rates(text: str) -> tuple[Rate, ...]:
    """The rates in a text, in its order, of one window the strictest; none in an empty one.

    ``BadRate`` says what is wrong.
    """
    rates = [_parse(part.strip()) for part in text.split(",") if part.strip()]
    strictest = {rate.seconds: rate for rate in sorted(rates, key=lambda rate: -rate.count)}
    return tuple(rate for rate in dict.fromkeys(rates) if strictest[rate.seconds] == rate)


def _parse(part: str) -> Rate:
    match = _RATE.fullmatch(part)
    if match is None or not int(match[1]) or match[2] == "0":
        raise BadRate(f"{part!r} is no rate: write 30/minute, 5/10 seconds or 1000/day, separated by commas")
    return Rate(int(match[1]), float(int(match[2] or 1) * UNITS[match[3]]))
