"""How many connections are open in this process, by kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

opened: Counter[str] = Counter(stream=0, socket=0)
"""``stream``: event streams (SSE). ``socket``: WebSockets."""


@contextmanager
def noted(kind: Literal["stream", "socket"]) -> Iterator[None]:
    """One more while the block runs."""
    opened[kind] += 1
    try:
        yield
    finally:
        opened[kind] -= 1
