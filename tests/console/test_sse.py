"""Reading server-sent events, in whatever pieces they come."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.errors import ConsoleError
from console.sse import Event, Reader

pytestmark = pytest.mark.fast

STREAM = (
    "retry: 1000\n\n: keep-alive\n\nid: 4\n\n"
    'id: 5\nevent: request.queued\ndata: {"a":\ndata: "ä"}\n\n'
    'event: chat.chunk\r\ndata: {"content": "x"}\r\n\r\n'
    "data: plain\r\rid: 6\n\ndata: cut off"
)
EVENTS = [
    Event("4", "", None),
    Event("5", "request.queued", {"a": "ä"}),
    Event("5", "chat.chunk", {"content": "x"}),
    Event("5", "message", "plain"),
    Event("6", "", None),
]


@given(st.lists(st.integers(0, 200)))
def test_events_are_the_same_in_any_pieces(cuts: list[int]) -> None:
    raw, reader = STREAM.encode(), Reader()
    places = sorted({0, len(raw), *(cut % len(raw) for cut in cuts)})
    pieces = [raw[start:end] for start, end in pairwise(places)]
    assert [event for piece in pieces for event in reader.feed(piece)] == EVENTS
    assert reader.id == "6"


def test_an_event_without_end_is_refused() -> None:
    reader = Reader()
    line = b"data: " + b"x" * 65_536 + b"\n"
    assert not any(list(reader.feed(line)) for _ in range(15))
    with pytest.raises(ConsoleError):
        list(reader.feed(line))


def test_events_are_as_long_as_they_may_be_one_after_another() -> None:
    reader = Reader()
    whole = b"data: " + b"x" * 900_000 + b"\n\n"
    assert [len(event.data) for _ in range(3) for event in reader.feed(whole)] == [900_000] * 3


def test_json_without_end_is_text() -> None:
    for text in ("[" * 100_000, "[" * 300 + "]" * 300, "{nonsense", "1e999x", "9" * 5000):
        assert [event.data for event in Reader().feed(f"data: {text}\n\n".encode())] == [text]


def test_a_line_without_end_is_refused() -> None:
    reader = Reader()
    assert not any(list(reader.feed(b"x" * 65_536)) for _ in range(16))
    with pytest.raises(ConsoleError):
        list(reader.feed(b"x" * 65_536))
