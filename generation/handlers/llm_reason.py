"""One answer of the storyteller to one prompt."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

from generation.drafts import Draft
from generation.prompts import Prompt
from generation.providers import provider
from generation.providers.base import Provider
from generation.telling import Telling
from jobs.context import JobContext

Hear = Callable[[str], None]


def run(ctx: JobContext, prompt: Prompt) -> Draft:
    """A draft from the configured provider. Progress tells its length so far, never its words.

    The words of a streamed prompt are shown as they come: to all who watch, or where people decide on drafts, to those.
    """
    telling = Telling(ctx) if prompt.streamed else None
    characters = 0

    def count(text: str) -> None:
        nonlocal characters
        characters += len(text)
        ctx.progress(characters=characters)
        if telling:
            telling.hear(text)

    # Found here and not in the coroutine: importing a client takes a second, which the event loop hasn't.
    return ctx.io("complete", complete, provider(), prompt, count, telling)


async def complete(
    storyteller: Provider, prompt: Prompt, on_text: Hear, telling: Telling | None, *, idempotency_key: str
) -> Draft:
    """Ask ``storyteller``, which may recognise a call made again by its key."""
    async with telling or nullcontext():
        return await storyteller.complete(prompt, idempotency_key=idempotency_key, on_text=on_text)
