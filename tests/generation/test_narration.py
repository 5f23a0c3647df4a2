"""What is shown of an answer while it is being written, whatever the pieces it comes in."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generation.narration import Narration

pytestmark = pytest.mark.fast

TOLD = "The door [of oak] opens {slowly}. `Rust` falls.\n\nA draught."


def shown(pieces: list[str]) -> str:
    narration = Narration()
    return "".join(map(narration.take, pieces))


def cut(text: str, places: list[int]) -> list[str]:
    at = sorted({0, len(text), *(place % (len(text) + 1) for place in places)})
    return [text[start:end] for start, end in pairwise(at)]


@given(st.lists(st.integers(0, 500)), st.sampled_from(["", "<think>Hm. [1] ``` {x</think>\n\n", "  \n"]))
@pytest.mark.parametrize("end", ["", "\n\n```json\n[]\n```", "\n[{}]", '\n  {"changes": []}\n\nMore.', "```"])
def test_the_narration_is_shown_and_neither_thinking_nor_changes(end: str, places: list[int], before: str) -> None:
    assert shown(cut(before + TOLD + end, places)).strip() == TOLD


def test_it_is_shown_as_soon_as_it_can_be() -> None:
    narration = Narration()
    assert [narration.take(piece) for piece in ("The ", "door`", "` is", "\n", "open.", "\n[", "]")] == [
        "The ", "door", "`` is", "", "\nopen.", "\n", "",
    ]  # fmt: skip


def test_thinking_is_not_kept_in_memory() -> None:
    narration = Narration()
    narration.take("<think>")
    for _ in range(1000):
        assert narration.take("so many thoughts " * 10) == ""
    assert len(vars(narration)["_held"]) < 20
    assert narration.take("</think> At last.") == "At last."
