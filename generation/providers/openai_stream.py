"""An answer while it is streamed, chunk by chunk, by a server that may leave out any part of a chunk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from openai import APIConnectionError
from pydantic import ValidationError

from generation.answers import Answer, read_answer, read_arguments
from generation.drafts import Draft, Usage, write_draft
from generation.errors import GenerationError
from generation.prompts import Prompt
from generation.providers.openai_errors import SAID_CHARACTERS, meaning, short
from jobs.changes import UNCLEAN
from jobs.errors import HandlerError, PermanentError

WORD_CHARACTERS = 100


class StreamedAnswer:
    """What has come so far. ``finish`` is empty until the server says why the answer ends."""

    def __init__(self, on_text: Callable[[str], None] | None) -> None:
        self.finish = ""
        self._on_text = on_text
        self._pieces: list[str] = []
        self._arguments: list[str] = []
        self._characters = 0
        self._refusal = ""
        self._model = ""
        self._usage: Usage | None = None

    def take(self, chunk: Any) -> None:
        """One chunk. ``too_long`` past LLM_CHARACTERS."""
        self._model = _word(chunk, "model") or self._model
        self._usage = _usage(chunk) or self._usage
        choices = getattr(chunk, "choices", None)
        for choice in choices if isinstance(choices, list) else ():
            if not getattr(choice, "index", 0):
                self._choose(choice)

    def _choose(self, choice: Any) -> None:
        delta = getattr(choice, "delta", None)
        self._say(_text(delta, "content"))
        calls = getattr(delta, "tool_calls", None)
        for call in calls if isinstance(calls, list) else ():
            self._hear_tool(_text(getattr(call, "function", None), "arguments"), getattr(call, "index", 0))
        self._refusal = (self._refusal + _text(delta, "refusal"))[:SAID_CHARACTERS]
        self.finish = _word(choice, "finish_reason") or self.finish

    def _say(self, text: str) -> None:
        self._count(text)
        self._pieces.append(text)
        if text and self._on_text:
            self._on_text(text)

    def _count(self, text: str) -> None:
        self._characters += len(text)
        if self._characters > settings.CONFIG.llm_characters:
            raise GenerationError("too_long", f"The answer is over {settings.CONFIG.llm_characters} characters.")

    def _hear_tool(self, arguments: str, number: Any) -> None:
        """The first call is the proposal; a second is none of ours."""
        if not number:
            self._count(arguments)
            self._arguments.append(arguments)

    def _with_tool(self, told: Answer) -> Answer:
        """The changes of the tool's call, where there was one, instead of those in the text."""
        return told._replace(proposed=read_arguments("".join(self._arguments))) if self._arguments else told

    @property
    def only_calls(self) -> bool:
        """Whether it is whole, and a tool's call without a narration: many a model writes no text beside a call."""
        whole = self.finish not in ("", "length", "content_filter") and not self._refusal
        return whole and bool(self._arguments) and not read_answer("".join(self._pieces)).text

    def forget(self) -> None:
        """Another answer takes the place of this one. What was written counts towards LLM_CHARACTERS all the same."""
        self.finish = ""
        self._pieces, self._arguments = [], []

    def failure(self, error: Exception) -> HandlerError:
        """What ``error`` means for an answer that was still to end."""
        hung_up = isinstance(error, APIConnectionError)
        return self._cut_off() if hung_up and self._characters else meaning(error)

    def draft(self, prompt: Prompt) -> Draft:
        """The whole answer. ``refused``, ``cut_off``, ``empty_answer`` or ``too_long`` if it is none."""
        if self._refusal or self.finish == "content_filter":
            refused = PermanentError("refused", "The model will not answer this.")
            refused.add_note(f"The model said: {short(self._refusal) or self.finish}")
            raise refused
        if self._characters and self.finish in ("", "length"):
            raise self._cut_off()
        told = self._with_tool(read_answer("".join(self._pieces)))
        return write_draft(
            text=told.text,
            proposed=told.proposed,
            state=prompt.state,
            schema=prompt.state_schema,
            model=self._model or settings.CONFIG.llm_model,
            notes=told.notes,
            finish=self.finish,
            usage=self._usage,
        )

    def _cut_off(self) -> GenerationError:
        return GenerationError("cut_off", f"The answer ended in the middle, after {self._characters} characters.")


def _text(part: Any, name: str) -> str:
    value = getattr(part, name, None)
    return value if isinstance(value, str) else ""


def _word(part: Any, name: str) -> str:
    return UNCLEAN.sub("", _text(part, name))[:WORD_CHARACTERS]


def _usage(chunk: Any) -> Usage | None:
    counts = getattr(chunk, "usage", None)
    try:
        return Usage.model_validate(counts, from_attributes=True)
    except ValidationError:
        return None
