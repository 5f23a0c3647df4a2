"""Drafts from any server that speaks OpenAI's streaming chat completions: vLLM, llama.cpp, Ollama, OpenAI."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

from django.conf import settings
from openai import OpenAIError

from generation.drafts import Draft
from generation.instructions import messages
from generation.prompts import Prompt
from generation.providers.openai_clients import client
from generation.providers.openai_stream import StreamedAnswer
from jobs.errors import HandlerError

FAILURES = (OpenAIError, HandlerError, TimeoutError, json.JSONDecodeError, UnicodeDecodeError)


class OpenAICompatible:
    """Asks LLM_MODEL at LLM_BASE_URL. The changes come as text, since small servers have no tool calling."""

    name = "openai_compatible"

    async def complete(
        self, prompt: Prompt, *, idempotency_key: str, on_text: Callable[[str], None] | None = None
    ) -> Draft:
        """See ``Provider``. An answer that has its end is taken even if the connection breaks after it."""
        answer = StreamedAnswer(on_text)
        try:
            async with asyncio.timeout(settings.CONFIG.llm_timeout_seconds):
                await self._read(prompt, idempotency_key, answer)
        except FAILURES as error:
            if not answer.finish:
                raise answer.failure(error) from error
        return answer.draft(prompt)

    async def _read(self, prompt: Prompt, idempotency_key: str, answer: StreamedAnswer) -> None:
        config = settings.CONFIG
        opened = await client()
        stream = await opened.chat.completions.create(
            model=config.llm_model,
            messages=messages(prompt),
            stream=True,
            stream_options={"include_usage": True},
            extra_headers={"Idempotency-Key": idempotency_key},
            timeout=config.llm_timeout_seconds,
        )
        async with stream:
            async for chunk in stream:
                answer.take(chunk)
