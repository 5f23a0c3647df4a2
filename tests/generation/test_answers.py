import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generation.answers import read_answer

pytestmark = pytest.mark.fast

GOLD = [{"path": "party.gold", "op": "add", "value": 5}]
WRITTEN = '[{"path": "party.gold", "op": "add", "value": 5}]'


@pytest.mark.parametrize(
    "written",
    [
        pytest.param(f"Gold!\n\n```json\n{WRITTEN}\n```", id="as asked"),
        pytest.param(f"Gold!\n```JSON\n{WRITTEN}", id="fence left open"),
        pytest.param(f"Gold!\n```\n{WRITTEN}\n```\n", id="fence without a name"),
        pytest.param(f"Gold! ```json {WRITTEN} ```", id="on one line"),
        pytest.param(f"Gold!\n{WRITTEN}", id="no fence"),
        pytest.param('Gold!\n```json\n[{"path": "party.gold", "op": "add", "value": 5,},]\n```', id="commas too many"),
        pytest.param(f"<think>```json\n[1]\n``` perhaps</think>\nGold!\n```json\n{WRITTEN}\n```", id="thought first"),
        pytest.param(f"```json\n{WRITTEN}\n```\nGold!", id="changes first"),
    ],
)
def test_the_narration_and_the_changes_are_told_apart(written: str) -> None:
    assert read_answer(written) == ("Gold!", GOLD, [])


def test_what_looks_like_a_comma_too_many_stays_in_a_text() -> None:
    said = [{"path": "sign", "op": "set", "value": 'It says "[gold, silver, ]", {no more, }.'}]
    assert read_answer(f"Read!\n```json\n{json.dumps(said)[:-1]},]\n```") == ("Read!", said, [])


def test_the_last_block_counts_when_there_are_several() -> None:
    text, proposed, _ = read_answer(f"A sign reads\n```\nBEWARE\n```\nand gold lies below.\n```json\n{WRITTEN}\n```")
    assert "BEWARE" in text
    assert proposed == GOLD


NESTED = pytest.param("[" * 100_000, id="nested")
ENDLESS = pytest.param('["' + '\\"' * 100_000, id="endless")  # Minutes, if it were read again from each of its quotes.


@pytest.mark.parametrize("block", ["[{]", '[{"path": "a"', "gold +5", NESTED, ENDLESS])
def test_a_block_that_cannot_be_read_costs_the_changes_and_not_the_narration(block: str) -> None:
    text, proposed, notes = read_answer(f"Gold!\n```json\n{block}\n```")
    assert (text, proposed) == ("Gold!", None)
    assert notes == ["The proposed changes could not be read, and were left out."]


@pytest.mark.parametrize("text", ["Gold!", "[Aside] Gold!", "The sign says {open}.", "A ``` in the text.", ""])
def test_a_text_without_changes_is_all_narration(text: str) -> None:
    assert read_answer(text) == (text, None, [])


@given(st.lists(st.sampled_from(["```", "json", "\n", "[", "]", "{", "<think>", "</think>", "Gold", " ", ","])))
def test_nothing_that_a_model_writes_makes_the_reader_fail(parts: list[str]) -> None:
    read_answer("".join(parts))
