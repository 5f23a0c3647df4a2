"""Drafts from any server that speaks OpenAI's streaming chat completions: vLLM, llama.cpp, Ollama, OpenAI."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from django.conf import settings
from openai import APIStatusError, OpenAIError, omit

from generation.drafts import Draft
from generation.instructions import TOOL, messages
from generation.prompts import Prompt
from generation.providers.openai_clients import client
from generation.providers.openai_errors import cause
from generation.providers.openai_stream import StreamedAnswer
from jobs.errors import HandlerError

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletionToolParam

NO_TOOLS = (400, 404, 422, 501)
FAILURES = (OpenAIError, HandlerError, TimeoutError, json.JSONDecodeError, UnicodeDecodeError)


_without_tools: set[tuple[str, str]] = set()


class OpenAICompatible:
    """Asks LLM_MODEL at LLM_BASE_URL. The changes come as text, or with LLM_TOOLS by a tool if the server has any."""

    name = "openai_compatible"

    async def complete(
        self, prompt: Prompt, *, idempotency_key: str, on_text: Callable[[str], None] | None = None
    ) -> Draft:
        """See ``Provider``. An answer that has its end is taken even if the connection breaks after it."""
        answer = StreamedAnswer(on_text)
        try:
            async with asyncio.timeout(settings.CONFIG.llm_timeout_seconds):
                await self._ask(prompt, idempotency_key, answer)
        except FAILURES as error:
            if not answer.finish:
                raise answer.failure(error) from cause(error)
        return answer.draft(prompt)

    async def _ask(self, prompt: Prompt, idempotency_key: str, answer: StreamedAnswer) -> None:
        """With the tool; once more without it where the server has none, or calls it and tells nothing.

        Such a server is remembered.
        """
        config = settings.CONFIG
        server = (config.llm_base_url, config.llm_model)
        if config.llm_tools and prompt.tells_a_turn and server not in _without_tools:
            try:
                await self._read(prompt, idempotency_key, answer, tool=True)
            except APIStatusError as error:
                if error.status_code not in NO_TOOLS or "tool" not in error.message.lower():
                    raise
            else:
                if not answer.only_calls:
                    return
                answer.forget()
                idempotency_key += ":told"  # another question, which is not to get the same answer
            _without_tools.add(server)
        await self._read(prompt, idempotency_key, answer, tool=False)

    async def _read(self, prompt: Prompt, idempotency_key: str, answer: StreamedAnswer, *, tool: bool) -> None:
        config = settings.CONFIG
        opened = await client()
        stream = await opened.chat.completions.create(
            model=config.llm_model,
            messages=messages(prompt, tool=tool),
            stream=True,
            stream_options={"include_usage": True},
            tools=[cast("ChatCompletionToolParam", TOOL)] if tool else omit,
            extra_headers={"Idempotency-Key": idempotency_key},
            timeout=config.llm_timeout_seconds,
        )
        now = asyncio.get_running_loop().time
        async with stream, asyncio.timeout(config.llm_idle_seconds) as idle:
            async for chunk in stream:
                answer.take(chunk)
                idle.reschedule(now() + config.llm_idle_seconds)
