"""Every state of the protocol is safe and leads to the end; without any one of its rules that is not so."""

from __future__ import annotations

import pytest

from tests.proof import FULL
from tests.proof.model import GUARDS, explore

DEPTHS = [(True, 3), (False, 2), *([(True, 4), (False, 3)] if FULL else [])]


@pytest.mark.parametrize(("one_lane", "faults"), DEPTHS)
def test_no_order_of_events_and_faults_breaks_the_protocol(one_lane: bool, faults: int) -> None:
    found = explore(faults=faults, one_lane=one_lane)
    assert found.violation == "", found.path
    assert found.states > 4000


@pytest.mark.parametrize("guard", GUARDS)
def test_without_a_rule_something_goes_wrong(guard: str) -> None:
    found = explore(faults=2, one_lane=guard != "front", without=frozenset({guard}))
    assert found.violation, f"{found.states} states, and nobody misses {guard!r}: {GUARDS[guard]}"
