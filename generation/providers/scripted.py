"""The offline storyteller as a provider: no network, no key, the same tale each time, at the pace of a model."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable

from django.conf import settings
from pydantic import JsonValue

from generation.drafts import Draft, write_draft
from generation.errors import GenerationError
from generation.prompts import Prompt
from generation.scripted.faults import parse_faults, striking
from generation.scripted.tales import tell
from jobs.errors import HandlerError, PermanentError, RetryLater

SLOW_FACTOR = 10
BUSY_SECONDS = 1.0
REMEMBERED_CALLS = 10_000
INVALID: list[JsonValue] = [
    {"path": "party..gold", "op": "add", "value": 100},
    {"path": "moon.phase", "op": "add", "value": "full"},
    {"path": "doors", "op": "explode"},
]

FAILURES: dict[str, Callable[[], HandlerError]] = {
    "fail": lambda: GenerationError("llm_failed", "The storyteller lost the thread."),
    "busy": lambda: RetryLater(BUSY_SECONDS, "llm_busy", "The storyteller has too many listeners."),
    "garbage": lambda: GenerationError("empty_answer", "The storyteller only mumbled."),
}
"""Those that pass at the next attempt, with nothing written."""

_failed: OrderedDict[str, None] = OrderedDict()


class Scripted:
    """Tells a tale over SCRIPTED_SECONDS, with the faults of SCRIPTED_FAULTS."""

    name = "scripted"

    async def complete(
        self, prompt: Prompt, *, idempotency_key: str, on_text: Callable[[str], None] | None = None
    ) -> Draft:
        """See ``Provider``."""
        config = settings.CONFIG
        fault = striking(parse_faults(config.scripted_faults), prompt, config.scripted_seed)
        if fault == "refuse":
            raise PermanentError("refused", "The storyteller will not tell this.")
        if fault in FAILURES and _first_time(idempotency_key):
            raise FAILURES[fault]()
        if fault == "hang":
            await asyncio.sleep(config.llm_timeout_seconds)
            raise GenerationError("llm_timeout", "The storyteller did not come to an end in time.")
        tale = tell(prompt, config.scripted_seed)
        words = tale.text.split(" ")
        stop = len(words) // 2 if fault == "cut_off" and _first_time(idempotency_key) else len(words)
        pause = config.scripted_seconds * (SLOW_FACTOR if fault == "slow" else 1) / len(words)
        for word in words[:stop]:
            await asyncio.sleep(pause)
            if on_text:
                on_text(f"{word} ")
        if stop < len(words):
            raise GenerationError("cut_off", "The storyteller fell silent in the middle.")
        proposed = [*tale.changes, *(INVALID if fault == "invalid_changes" else [])]
        return write_draft(
            text=tale.text, proposed=proposed, state=prompt.state, schema=prompt.state_schema, model=self.name
        )


def _first_time(idempotency_key: str) -> bool:
    """Whether this process has not failed this call before: a retry is to pass."""
    if idempotency_key in _failed:
        return False
    _failed[idempotency_key] = None
    if len(_failed) > REMEMBERED_CALLS:
        _failed.popitem(last=False)
    return True
