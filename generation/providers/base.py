"""What every provider of drafts does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from generation.drafts import Draft
from generation.prompts import Prompt


class Provider(Protocol):
    """A storyteller behind one interface. It keeps no state between answers that a crash could lose."""

    name: str

    async def complete(
        self, prompt: Prompt, *, idempotency_key: str, on_text: Callable[[str], None] | None = None
    ) -> Draft:
        """One answer to ``prompt``; ``on_text`` gets each piece of it as it is written.

        The same ``idempotency_key`` comes with every attempt at the same answer. Fails with ``PermanentError``,
        ``RetryLater`` or ``GenerationError`` (codes in ``generation.errors``). One on the network gives up after
        LLM_TIMEOUT_SECONDS.
        """
