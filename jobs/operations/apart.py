"""One bad row keeps no other from what is done to all of them.

A row is bad if whatever is done to it raises: the database refuses what it holds, or there is a defect. That the
database is away is no row's fault: it is raised.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from jobs.connections import UNREACHABLE

logger = logging.getLogger(__name__)

Row = TypeVar("Row")


def leave(row: object, error: Exception) -> set[int]:
    """Tell the log of it; the next look finds the row again."""
    logger.error("%s is left as it is until the next look", row, exc_info=error)
    return set()


def in_halves(
    rows: Sequence[Row],
    act: Callable[[Sequence[Row]], set[int]],
    alone: Callable[[Row, Exception], set[int]] = leave,
) -> set[int]:
    """What ``act``, a transaction, gives for these rows together; where it fails, for each half by itself, until what
    fails stands alone: that is for ``alone``."""
    if not rows:
        return set()
    try:
        return act(rows)
    except UNREACHABLE:
        raise
    except Exception as error:
        if len(rows) == 1:
            return alone(rows[0], error)
    middle = len(rows) // 2
    return in_halves(rows[:middle], act, alone) | in_halves(rows[middle:], act, alone)


def one_by_one(rows: Iterable[Row], act: Callable[[Row], object]) -> int:
    """Do this, a transaction of its own, to each of the rows; to how many it was done, by what ``act`` says."""
    done = 0
    for row in rows:
        try:
            done += bool(act(row))
        except UNREACHABLE:
            raise
        except Exception as error:
            leave(row, error)
    return done
