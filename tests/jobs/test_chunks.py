"""What is streamed is cleaned as what is kept, wherever the pieces begin and end."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.changes import clean
from jobs.ephemeral import Chunks

pytestmark = pytest.mark.fast


@given(
    st.lists(st.text(st.sampled_from("a\t\r\n\x00\x1b[2J\x9b\ud83d\ude00é👋"), max_size=4)), st.sets(st.integers(0, 20))
)
def test_what_is_streamed_is_as_clean_as_what_is_kept_however_it_is_cut(pieces: list[str], looks: set[int]) -> None:
    chunks, told = Chunks(request_id="r", kind="chat", attempt=1), []
    for number, piece in enumerate(pieces):
        chunks.add(piece, done=False, deciders_only=False)
        told += [chunks.take()] if number in looks else []
    chunks.add("", done=True, deciders_only=False)
    data = [each.data for each in [*told, chunks.take()] if each]
    assert "".join(each["content"] for each in data) == clean("".join(pieces))
    assert [each["index"] for each in data] == list(range(len(data)))
    assert all(each["content"] for each in data[:-1])
    assert data[-1]["done"]
    assert json.dumps(data, ensure_ascii=False).encode()


def test_nothing_that_moves_a_terminals_cursor_is_streamed() -> None:
    chunks = Chunks(request_id="r", kind="chat", attempt=1)
    chunks.add("The\x1b[2J door\x9b\x07 ope", done=False, deciders_only=False)
    chunks.add("ns\r", done=False, deciders_only=False)
    first = chunks.take()
    chunks.add("\nslowly\ud800.\r", done=True, deciders_only=False)
    second = chunks.take()
    assert first is not None
    assert second is not None
    assert (first.data["content"], second.data["content"]) == ("The[2J door opens", "\nslowly.\n")
