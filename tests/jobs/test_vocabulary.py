"""One vocabulary: what the code writes, what the docs tell and what the states allow are the same."""

from __future__ import annotations

import re
from pathlib import Path

from jobs.ephemeral import EPHEMERAL
from jobs.events.vocabulary import JOB_STREAM, NUMBERED, TIMELINE
from jobs.states import BIRTHS, FINAL, TRANSITIONS, RequestStatus, Status

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


def rows_of(page: str, title: str) -> list[list[str]]:
    """The cells of the table under this heading, without their marks."""
    section = (DOCS / page).read_text().partition(f"## {title}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_docs_have_every_status_and_say_which_are_final() -> None:
    told = {status.strip("`"): final == "yes" for status, _, final in rows_of("states.md", "Statuses")}
    assert told == {status.value: status in FINAL for status in Status}


def test_the_docs_have_every_change_of_status_with_its_events_and_no_other() -> None:
    told = {(origin.strip("`"), to.strip("`"), by) for origin, to, by in rows_of("states.md", "Changes")}
    births = {("(enqueued)", to.value, f"`{event}`") for to, event in BIRTHS.items()}
    changes = {
        (origin.value, to.value, ", ".join(f"`{event}`" for event in sorted(events)))
        for (origin, to), events in TRANSITIONS.items()
    }
    assert told == births | changes


def test_the_picture_has_every_change_but_those_it_says_it_leaves_out() -> None:
    drawn = set(re.findall(r"^    (\w+) --> (\w+)$", (DOCS / "states.md").read_text(), re.MULTILINE))
    left_out = {Status.CANCELLED, Status.EXPIRED}
    assert drawn == {(origin, to) for origin, to in TRANSITIONS if to not in left_out and origin not in FINAL}


def test_the_docs_say_what_the_outside_sees_as_the_code_does() -> None:
    told = {cell.strip("`") for _, cell in rows_of("states.md", "What the outside sees")}
    assert told == {status.value for status in RequestStatus}


def test_the_docs_list_every_event_and_no_other() -> None:
    rows = [
        line.split("|")[1].strip(" `") for line in (DOCS / "events.md").read_text().splitlines() if "| `" in line[:3]
    ]
    assert sorted(rows) == sorted([*NUMBERED, *TIMELINE, *EPHEMERAL, *JOB_STREAM])
