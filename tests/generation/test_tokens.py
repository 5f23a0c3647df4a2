"""The estimate of tokens: near a rough count, and without surprises."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generation.tokens import estimate_tokens

pytestmark = pytest.mark.fast

TEXT = st.text() | st.text(st.sampled_from("aä 1\n\t\u2003文.💥"))


@pytest.mark.parametrize(
    ("text", "at_least", "at_most"),
    [  # a rough count, and what is still near it
        ("The quick brown fox jumps over the lazy dog.", 10, 16),
        ("Der Fährmann überquert die Elbe bei Sturm und Nebel.", 12, 24),
        ('{"path": "party.gold", "op": "add", "value": 12}', 17, 32),
        ("酒場の扉がゆっくりと開いた。", 9, 24),
        ("1234567890", 4, 10),
        ("", 0, 0),
    ],
)
def test_the_estimate_is_near_and_rather_too_high(text: str, at_least: int, at_most: int) -> None:
    assert at_least <= estimate_tokens(text) <= at_most


@given(TEXT, TEXT)
def test_more_text_is_never_fewer_tokens_by_much(one: str, other: str) -> None:
    assert estimate_tokens(one) <= estimate_tokens(one + other) <= estimate_tokens(one) + estimate_tokens(other) + 1


@given(TEXT)
def test_no_text_is_cheaper_than_its_letters(text: str) -> None:
    letters = sum(sign.isalnum() for sign in text)
    assert estimate_tokens(text) * 4 >= letters
