"""One vocabulary: what the code writes, what the docs tell and what the states allow are the same."""

from __future__ import annotations

from pathlib import Path

from jobs.ephemeral import EPHEMERAL
from jobs.events.vocabulary import NUMBERED, TIMELINE
from jobs.states import BIRTHS, FINAL, TRANSITIONS, Status

DOCS = Path(__file__).parents[2] / "docs"


def test_every_transition_has_an_event_of_the_vocabulary_and_every_event_a_transition() -> None:
    used = set().union(*TRANSITIONS.values(), BIRTHS.values())
    assert used == set(TIMELINE)


def test_only_a_revival_leaves_a_final_status_and_everything_else_can_reach_one() -> None:
    left = [events for (origin, _), events in TRANSITIONS.items() if origin in FINAL]
    assert set().union(*left) == {"job.revived"}
    reachable = set(FINAL)
    for _ in Status:
        reachable |= {origin for origin, to in TRANSITIONS if to in reachable}
    assert reachable == set(Status)


def test_the_docs_list_every_event_and_no_other() -> None:
    rows = [
        line.split("|")[1].strip(" `") for line in (DOCS / "events.md").read_text().splitlines() if "| `" in line[:3]
    ]
    assert sorted(rows) == sorted([*NUMBERED, *TIMELINE, *EPHEMERAL])
