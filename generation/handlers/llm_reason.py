"""One answer of the storyteller to one action."""

from __future__ import annotations

from collections.abc import Callable

from generation.drafts import Draft
from generation.prompts import Prompt
from generation.providers import provider
from generation.providers.base import Provider
from jobs.context import JobContext


def run(ctx: JobContext, prompt: Prompt) -> Draft:
    """A draft from the configured provider. Progress tells its length so far, never its words."""
    characters = 0

    def count(text: str) -> None:
        nonlocal characters
        characters += len(text)
        ctx.progress(characters=characters)

    # Found here and not in the coroutine: importing a client takes a second, which the event loop hasn't.
    return ctx.io("complete", complete, provider(), prompt, count)


async def complete(
    storyteller: Provider, prompt: Prompt, on_text: Callable[[str], None], *, idempotency_key: str
) -> Draft:
    """Ask ``storyteller``, which may recognise a call made again by its key."""
    return await storyteller.complete(prompt, idempotency_key=idempotency_key, on_text=on_text)
