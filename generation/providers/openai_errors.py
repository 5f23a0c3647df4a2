"""What a failed call to an OpenAI-compatible API means for the job that made it.

Whoever may see the request reads what kind of failure it was, in our words. The server's own may name accounts, quotas
and parts of keys: they are a note on the error, which staff find with its traceback in the job's timeline.
"""

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
PERMANENT = {
    401: ("llm_unauthorized", "The model's server does not know us."),
    403: ("llm_forbidden", "We may not use this model."),
    404: ("llm_not_found", "There is no such model where we asked for it."),
}
BAD_REQUEST = ("llm_bad_request", "The model's server takes no request like this.")
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


def cause(error: Exception) -> Exception | None:
    """What the traceback shows before ``meaning``: not an error with the server's words, which may hold our key."""
    worded = isinstance(error, APIError) and not isinstance(error, APIConnectionError)
    return None if worded else error


def _refusal(error: APIError, status: int) -> HandlerError:
    failure = _kind(error, status)
    failure.add_note(f"The model's server answered {status or 'an error'}: {_said(error)}")
    return failure


def _kind(error: APIError, status: int) -> HandlerError:
    if error.code in FILTERED:
        return PermanentError("refused", "The model's server will not have this answered.")
    if status in (429, 503):
        busy, seconds = ("llm_busy", "The model's server has too much to do."), _retry_after(error)
        return GenerationError(*busy) if seconds is None else RetryLater(seconds, *busy)
    if 300 <= status < 500 and status not in RETRIED:
        return PermanentError(*PERMANENT.get(status, BAD_REQUEST))
    return GenerationError("llm_failed", "The model's server failed.")


def _status(error: APIError) -> int:
    """The HTTP status; of an error inside a stream its own code, where that is one; else 0."""
    if isinstance(error, APIStatusError):
        return error.status_code
    return int(error.code) if error.code and error.code.isascii() and error.code.isdigit() else 0


def _said(error: APIError) -> str:
    """The server's words without our key, which some servers repeat."""
    key = settings.CONFIG.llm_api_key
    return short(error.message.replace(key, "[key]") if key else error.message)


def short(words: str) -> str:
    """What somebody else says, on a line of a traceback."""
    return " ".join(UNCLEAN.sub(" ", words).split())[:SAID_CHARACTERS]


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
