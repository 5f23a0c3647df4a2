"""One answer of the storyteller to one prompt."""

from __future__ import annotations

from collections.abc import Callable

from generation.drafts import Draft
from generation.narration import Narration
from generation.prompts import Prompt
from generation.providers import provider
from generation.providers.base import Provider
from jobs import registry
from jobs.context import JobContext

Hear = Callable[[str], None]


def run(ctx: JobContext, prompt: Prompt) -> Draft:
    """A draft from the configured provider. Progress tells its length so far, never its words.

    The words of a streamed prompt are shown as they come: to all who watch, or where people decide on drafts, to those.
    """
    hear, end = _aloud(ctx) if prompt.streamed else (_silently, _silently)
    characters = 0

    def count(text: str) -> None:
        nonlocal characters
        characters += len(text)
        ctx.progress(characters=characters)
        hear(text)

    # Found here and not in the coroutine: importing a client takes a second, which the event loop hasn't.
    return ctx.io("complete", complete, provider(), prompt, count, end)


async def complete(
    storyteller: Provider, prompt: Prompt, on_text: Hear, on_end: Hear, *, idempotency_key: str
) -> Draft:
    """Ask ``storyteller``, which may recognise a call made again by its key."""
    draft = await storyteller.complete(prompt, idempotency_key=idempotency_key, on_text=on_text)
    on_end("")
    return draft


def _silently(text: str) -> None:
    """Show nothing."""


def _aloud(ctx: JobContext) -> tuple[Hear, Hear]:
    """What shows text, and what says that it was the last."""
    narration, asks = Narration(), _asks(ctx)

    def hear(text: str) -> None:
        if shown := narration.take(text):
            ctx.chunk(shown, deciders_only=asks)

    return hear, lambda text: ctx.chunk(text, done=True, deciders_only=asks)


def _asks(ctx: JobContext) -> bool:
    """Whether a person decides before all may see it."""
    scope = ctx.job.scope
    return scope is not None and registry.scope_rules(scope.key).policy(scope.key).ask
