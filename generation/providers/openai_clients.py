"""One client for each event loop and address, with its connections, closed when the loop ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

import httpx2
from django.conf import settings
from openai import AsyncOpenAI, DefaultAsyncHttpx2Client

from generation.errors import GenerationError

# A token comes in a chunk of a few hundred bytes, with its id, model and counts; thinking comes on top.
BYTES_PER_CHARACTER = 512
SPARE_BYTES = 1_048_576
NO_KEY = "none"  # Servers of one's own ask for no key, but the client insists on one.

Key = tuple[asyncio.AbstractEventLoop, str, str]
_lent: dict[Key, tuple[AsyncOpenAI, AsyncGenerator[AsyncOpenAI]]] = {}


async def client() -> AsyncOpenAI:
    """The running loop's client for LLM_BASE_URL. It is shared: don't close it."""
    key = (asyncio.get_running_loop(), settings.CONFIG.llm_base_url, settings.CONFIG.llm_api_key)
    if key not in _lent:
        # A generator, because a loop closes those it began (shutdown_asyncgens), and so our connections.
        lender = _lend(key)
        _lent[key] = (await anext(lender), lender)
    return _lent[key][0]


async def _lend(key: Key) -> AsyncGenerator[AsyncOpenAI]:
    _, base_url, api_key = key
    http = DefaultAsyncHttpx2Client(
        follow_redirects=False,
        headers={"Accept-Encoding": "identity"},
        event_hooks={"response": [_bound]},
    )
    async with AsyncOpenAI(base_url=base_url, api_key=api_key or NO_KEY, max_retries=0, http_client=http) as opened:
        try:
            yield opened
        finally:
            del _lent[key]


async def _bound(response: httpx2.Response) -> None:
    if response.headers.get("content-encoding", "identity") != "identity":
        raise GenerationError("empty_answer", "The model's server compressed an answer that it was asked not to.")
    response.stream = BoundedStream(response.stream)


class BoundedStream(httpx2.AsyncByteStream):
    """A body that ends with ``too_long`` rather than fill the memory: also an error's, or a line's without end."""

    def __init__(self, stream: httpx2.SyncByteStream | httpx2.AsyncByteStream | None) -> None:
        if not isinstance(stream, httpx2.AsyncByteStream):
            raise TypeError("an async client's body is an AsyncByteStream")
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = SPARE_BYTES + BYTES_PER_CHARACTER * settings.CONFIG.llm_characters
        async for part in self._stream:
            left -= len(part)
            if left < 0:
                raise GenerationError("too_long", "The model's server sent more than an answer can be.")
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()
