"""What may run runs at once, however calls, claims and ends overlap: nothing waits to be found by a later look."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random
from time import sleep

import pytest

from jobs.invariants import broken
from jobs.models import Job
from jobs.operations.enqueue import enqueue
from jobs.states import FINAL, Status
from tests.jobs.kinds import ECHO, FAMILY, SLEEP, Plan
from tests.jobs.under_limits import limit
from tests.processes import Stack
from tests.together import at_once
from tests.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

LATER = "60"
"""Seconds until a worker looks into the record by itself. There is no scheduler to look."""
SOON = 40.0
TIMES = 40


def chain(dice: Random) -> None:
    enqueue(ECHO, Plan(), depends_on=[enqueue(ECHO, Plan())])


def fan_in(dice: Random) -> None:
    parts = [enqueue(SLEEP, Plan(seconds=dice.random() / 200)) for _ in range(3)]
    sleep(dice.random() / 200)
    for lane in ("", "lane:a", "lane:b"):
        enqueue(ECHO, Plan(), depends_on=parts, ordering_key=lane)


def across_lanes(dice: Random) -> None:
    first = enqueue(ECHO, Plan(), ordering_key="lane:a", scope="test:1")
    sleep(dice.random() / 200)
    enqueue(ECHO, Plan(), depends_on=[first], ordering_key="lane:b", scope="test:1")


def limited(dice: Random) -> None:
    for _ in range(2):
        enqueue(SLEEP, Plan(seconds=dice.random() / 200), concurrency_key="one/at-a-time")


def debounced(dice: Random) -> None:
    enqueue(ECHO, Plan(), unique="one", replace=True)


def family(dice: Random) -> None:
    enqueue(FAMILY, Plan())


def test_nothing_waits_for_a_later_look(stack: Stack) -> None:
    def repeat(act: Callable[[Random], None]) -> None:
        dice = Random(act.__name__)
        for _ in range(TIMES):
            act(dice)
            sleep(dice.random() / 50)

    limit("one/at-a-time", 1)
    stack.start("worker", "worker.2", POLL_SECONDS=LATER)
    acts = (chain, fan_in, across_lanes, limited, debounced, family)
    assert at_once(*(partial(repeat, act) for act in acts)) == [None] * len(acts)
    wait_until(lambda: not Job.objects.exclude(status__in=FINAL).exists(), timeout=SOON, what="all have ended")
    assert not Job.objects.exclude(status=Status.COMPLETED).exists()
    assert broken() == {}
