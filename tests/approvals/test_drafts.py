"""How an edit differs from its draft."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from approvals.drafts import Candidate, difference, with_claims, word_runs
from jobs.changes import Change

LONGEST = 20_000


@given(st.text(), st.text())
def test_a_difference_holds_both_texts(before: str, after: str) -> None:
    runs = list(word_runs(before, after))
    assert "".join(text for mark, text in runs if mark != "+") == before
    assert "".join(text for mark, text in runs if mark != "-") == after


def test_equal_texts_do_not_differ() -> None:
    assert list(word_runs("The door.", "The door.")) == [("=", "The door.")]
    assert list(word_runs("", "")) == []


def test_words_are_taken_whole() -> None:
    assert list(word_runs("an open door", "an opened door")) == [
        ("=", "an"),
        ("-", " open"),
        ("+", " opened"),
        ("=", " door"),
    ]


def test_texts_with_little_in_common_are_told_one_after_the_other() -> None:
    before, after = "The door creaks open, and a cold wind blows.", "Nothing lies here but dust."
    assert list(word_runs(before, after)) == [("-", before), ("+", after)]


def test_the_longest_texts_are_compared_in_time() -> None:
    for before, after in (
        ("a b " * (LONGEST // 4), "b a " * (LONGEST // 4)),
        (" ".join(map(str, range(LONGEST // 5))), " ".join(map(str, reversed(range(LONGEST // 5))))),
        ("." * LONGEST, "," * LONGEST),
        (" ".join(f"w{n}" for n in range(950)), " ".join(f"w{n}" if n % 2 else "z" for n in range(950))),
        ("".join(f"w{n}." for n in range(3000)), "".join(f"w{n}." if n % 2 else "z." for n in range(3000))),
        ("".join(f"{n % 150} " for n in range(LONGEST // 4)), "".join(f"{n % 149} " for n in range(LONGEST // 4))),
    ):
        started = time.process_time()
        list(word_runs(before[:LONGEST], after[:LONGEST]))
        assert time.process_time() - started < 2


def test_long_texts_are_compared_by_sentences() -> None:
    before = "".join(f"Sentence {n} of it. " for n in range(400))
    runs = list(word_runs(before, before.replace("Sentence 7 of it", "Changed")))
    assert runs[1:3] == [("-", " Sentence 7 of it."), ("+", " Changed.")]


def test_changes_are_compared_as_json() -> None:
    one, true = (Change(path="a", op="set", value=value) for value in (1, True))
    assert difference(Candidate(changes=[one]), "", [true])["changes"] == {
        "out": [{"path": "a", "op": "set", "value": 1}],
        "in": [{"path": "a", "op": "set", "value": True}],
    }


def test_a_claim_that_the_editor_makes_stands() -> None:
    draft = Candidate(changes=[Change(path="a", op="set", value=1, was=0)])
    edited = [Change(path="a", op="set", value=2, was=5), Change(path="b", op="set", value=2)]
    assert with_claims(edited, draft) == edited
