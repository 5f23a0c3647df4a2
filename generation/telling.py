"""Showing an answer while it is written: to all who watch, or where people decide on drafts, to those."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from django.conf import settings

from accounts.threads import in_thread
from generation.narration import Narration
from jobs import registry
from jobs.connections import UNREACHABLE
from jobs.context import JobContext


class Telling:
    """One answer as it is told. It is over when the block ends, in which the answer comes; with an error it has no end.

    A game that begins to ask while it is written has the rest told to those who decide, within
    SOCKET_RECHECK_SECONDS. One that asks no more does not: what came before would be missing.
    """

    def __init__(self, ctx: JobContext) -> None:
        self._ctx = ctx
        self._scope = ctx.job.scope.key if ctx.job.scope else ""
        self._narration = Narration()
        self._asks = self._policy_asks()

    def hear(self, text: str) -> None:
        """The next piece of the answer, of which the narration is shown."""
        if shown := self._narration.take(text):
            self._ctx.chunk(shown, deciders_only=self._asks)

    async def __aenter__(self) -> Self:
        self._watch = asyncio.create_task(self._look_again())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watch.cancel()
        if error is None:
            self._ctx.chunk("", done=True, deciders_only=self._asks)

    async def _look_again(self) -> None:
        while self._scope and not self._asks:
            await asyncio.sleep(settings.CONFIG.socket_recheck_seconds)
            try:
                self._asks = await in_thread(self._policy_asks)
            except UNREACHABLE:
                continue  # The database is away, and nobody can have changed it.

    def _policy_asks(self) -> bool:
        """Whether a person decides before all may see it."""
        return bool(self._scope) and registry.scope_rules(self._scope).policy(self._scope).ask
