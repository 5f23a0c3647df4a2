"""How long the client waits for what, and how it waits longer each time."""

from __future__ import annotations

import random
from dataclasses import dataclass

from console.errors import ConsoleError, Refused


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long what is waited for, in seconds."""

    request_seconds: float = 120
    silence_seconds: float = 75
    first_wait_seconds: float = 0.5
    longest_wait_seconds: float = 15
    poll_seconds: float = 2
    stream_again_seconds: float = 60

    def wait(self, failures: int, error: ConsoleError, *, longest_seconds: float | None = None) -> float:
        """Seconds: more each time, with jitter, and never fewer than the server asks for."""
        longest = self.longest_wait_seconds if longest_seconds is None else longest_seconds
        wait: float = min(longest, self.first_wait_seconds * 2 ** min(failures, 20))
        after = error.retry_after if isinstance(error, Refused) else None
        return max(wait * random.uniform(0.5, 1), after or 0.0)
