"""What can go wrong between this client and the server."""

from __future__ import annotations


class ConsoleError(Exception):
    """A sentence for the one at the terminal."""


class Unreachable(ConsoleError):
    """No answer this time; asking again may help."""


class Odd(Unreachable):
    """An answer, or an event, that this client can't read; the sentence says what is odd about it."""


class Refused(ConsoleError):
    """The server's no, with its code; ``retry_after`` in seconds where it says when to ask again."""

    def __init__(self, status: int, code: str, detail: str, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.retry_after = retry_after

    @property
    def passing(self) -> bool:
        """Whether the same may be granted later."""
        return self.status in (408, 429) or self.status >= 500
