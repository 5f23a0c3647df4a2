"""The estimate of tokens: near what real vocabularies count, and without surprises."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generation.tokens import estimate_tokens

pytestmark = pytest.mark.fast

TEXT = st.text() | st.text(st.sampled_from("aäBkz 1\n\t\u2003文.💥ж"))
COUNTED: list[dict[str, Any]] = json.loads(Path(__file__).with_name("counted.json").read_text(encoding="utf-8"))
"""Texts with their tokens, counted with OpenAI's vocabularies by tiktoken 0.14.0 and gpt-tokenizer 4.0.0 alike."""
OF_NO_LANGUAGE = ("base64", "letters at random")
LEAN = ("english", "english dialogue", "german", "french", "python", "json of a state")


def of(*kinds: str) -> list[Any]:
    return [pytest.param(fact, id=fact["kind"]) for fact in COUNTED if fact["kind"] in kinds]


@pytest.mark.parametrize("fact", of(*({fact["kind"] for fact in COUNTED} - {*OF_NO_LANGUAGE})))
def test_the_estimate_is_hardly_below_what_is_counted(fact: dict[str, Any]) -> None:
    estimate = estimate_tokens(fact["text"])
    assert estimate >= fact["o200k_base"] / 1.15
    assert estimate >= fact["cl100k_base"] / 1.4


@pytest.mark.parametrize("fact", of(*OF_NO_LANGUAGE))
def test_of_letters_that_are_no_words_most_are_noticed(fact: dict[str, Any]) -> None:
    assert estimate_tokens(fact["text"]) >= max(fact["o200k_base"], fact["cl100k_base"]) / 1.6


@pytest.mark.parametrize("fact", of(*LEAN))
def test_no_room_is_wasted_on_what_stories_are_mostly_made_of(fact: dict[str, Any]) -> None:
    assert estimate_tokens(fact["text"]) <= 1.35 * fact["o200k_base"]


def test_nothing_is_no_token() -> None:
    assert estimate_tokens("") == 0


@given(TEXT, TEXT)
def test_more_text_is_never_fewer_tokens_by_much(one: str, other: str) -> None:
    assert estimate_tokens(one) <= estimate_tokens(one + other) <= estimate_tokens(one) + estimate_tokens(other) + 1


@given(TEXT)
def test_no_text_is_cheaper_than_its_letters(text: str) -> None:
    letters = sum(sign.isalnum() for sign in text)
    assert estimate_tokens(text) * 6 >= letters
