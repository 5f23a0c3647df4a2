"""What a failed call to an OpenAI-compatible API means for the job that made it."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from email.utils import parsedate_to_datetime
from math import isfinite

import httpx2
from django.conf import settings
from openai import APIConnectionError, APIError, APIStatusError, APITimeoutError

from generation.errors import GenerationError
from jobs.changes import UNCLEAN
from jobs.errors import HandlerError, PermanentError, RetryLater

SAID_CHARACTERS = 300
RETRIED = (408, 409, 425)
PERMANENT = {401: "llm_unauthorized", 403: "llm_forbidden", 404: "llm_not_found"}
FILTERED = ("content_filter", "content_policy_violation")


def meaning(error: Exception) -> HandlerError:
    """The outcome that ``error`` stands for, with its code and a sentence."""
    match error:
        case HandlerError():
            return error
        case TimeoutError() | APITimeoutError():
            return GenerationError("llm_timeout", "The model did not answer in time.")
        case APIConnectionError():
            return GenerationError("llm_unreachable", "The model's server can't be reached, or hung up.")
        case APIError():
            return _refusal(error, _status(error))
        case json.JSONDecodeError() | UnicodeDecodeError():
            return GenerationError("empty_answer", "The model's server answered something unreadable.")
    return GenerationError("llm_failed", f"The model's client failed with {type(error).__name__}.")


def _refusal(error: APIError, status: int) -> HandlerError:
    said = f"The model's server answered {status or 'an error'}: {_said(error)}"
    if error.code in FILTERED:
        return PermanentError("refused", said)
    if status in (429, 503):
        seconds = _retry_after(error)
        return GenerationError("llm_busy", said) if seconds is None else RetryLater(seconds, "llm_busy", said)
    if 300 <= status < 500 and status not in RETRIED:
        return PermanentError(PERMANENT.get(status, "llm_bad_request"), said)
    return GenerationError("llm_failed", said)


def _status(error: APIError) -> int:
    """The HTTP status; of an error inside a stream its own code, where that is one; else 0."""
    if isinstance(error, APIStatusError):
        return error.status_code
    return int(error.code) if error.code and error.code.isascii() and error.code.isdigit() else 0


def _said(error: APIError) -> str:
    """The server's words, short and without our key, which some servers repeat."""
    key = settings.CONFIG.llm_api_key
    words = error.message.replace(key, "[key]") if key else error.message
    return UNCLEAN.sub("", words)[:SAID_CHARACTERS]


def _retry_after(error: APIError) -> float | None:
    """Seconds, from ``Retry-After`` as a number or a date, no longer than our own longest backoff."""
    if not isinstance(error, APIStatusError):
        return None
    seconds = _seconds(error.response.headers)
    return None if seconds is None else min(max(seconds, 0.0), settings.CONFIG.backoff_cap_seconds)


def _seconds(headers: httpx2.Headers) -> float | None:
    given = headers.get("retry-after", "")
    with suppress(ValueError):
        return float(given) if isfinite(float(given)) else None
    with suppress(ValueError, OverflowError):
        return parsedate_to_datetime(given).timestamp() - time.time()
    return None
