"""What django-rq's workers run: the same as our handlers."""

import time


def stamp(sent_ns: int) -> int:
    """Nanoseconds from the caller's enqueue to this line."""
    return time.monotonic_ns() - sent_ns


def sleep(seconds: float) -> None:
    time.sleep(seconds)


def play(text: str) -> str:
    """An action that waits two seconds for a model, as ours do."""
    time.sleep(2)
    return text
