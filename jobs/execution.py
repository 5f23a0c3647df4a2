"""Running a claimed job's handler. The only place that turns a job type's dotted path into code."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

from django.conf import settings
from pydantic import ValidationError
from structlog.contextvars import bind_contextvars, bound_contextvars

from jobs import backoff, registry
from jobs.connections import UNREACHABLE
from jobs.context import JobContext, Suspended
from jobs.declared import Declined
from jobs.errors import HandlerError, HandlerMisuse, PermanentError, QueueError, RetryLater, Snooze
from jobs.models import Job
from jobs.operations import waits
from jobs.operations.leases import CancelRequested, LeaseLost
from jobs.operations.outcomes import Ended, How
from jobs.registry import JobType
from jobs.results import Rejected
from jobs.storable import cleaned, require_storable

logger = logging.getLogger(__name__)

TRACEBACK_CHARACTERS = 8000
DETAIL_CHARACTERS = 4000
UNKNOWN_CLAIMS = 20
"""How often a job of a type that nobody knows is claimed before it is dead: by the default backoff for an hour."""


@cache
def resolve(handler: str) -> Callable[[JobContext, Any], Any]:
    """The function behind ``package.module:function``."""
    module, _, name = handler.partition(":")
    function: Callable[[JobContext, Any], Any] = getattr(import_module(module), name)
    return function


def execute(job: Job, context_of: Callable[[Job], JobContext]) -> Ended | None:
    """Run the job's handler to its end, its error or its next wait; each log line of it says whose it is.

    ``None``: nothing is left to write, because the job waits or is no longer ours.
    """
    own = str(job.public_id)
    with bound_contextvars(request=own, job=own, token=job.token, worker=job.worker_id):
        return _execute(job, context_of)


def _execute(job: Job, context_of: Callable[[Job], JobContext]) -> Ended | None:
    job_type = registry.find(job.type, job.version)
    if job_type is None:
        return _failed(job, _unknown(job))
    if job.error is not None and job.error["code"] == HandlerMisuse.CODE:
        return _failed(job, HandlerMisuse(job.error["detail"]))
    context: JobContext | None = None
    try:
        context = context_of(job)
        if job.root_id is not None:
            bind_contextvars(request=context.request_id)
        ended = _completed(job, job_type, _handled(job, job_type, context))
    except (Suspended, LeaseLost):
        ended = None
    except Declined as no:
        ended = Ended(**_of(job), how=How.REJECTED, **_declined(no.reason))
    except CancelRequested:
        ended = Ended(**_of(job), how=How.CANCELLED)
    except BaseException as error:  # a handler that calls sys.exit() fails its attempt, not its worker
        ended = _failed(job, (context and context.misuse) or error)
    if context is not None and context.suspended:
        _tell_misuse(job, context)
        return None
    return ended


def _unknown(job: Job) -> HandlerError:
    """While a new release is rolled out, another worker may know it: this one tries again, ever later."""
    known = job.type in registry.job_types()
    if not known and job.token > UNKNOWN_CLAIMS:
        return PermanentError("unknown_job_type", f"no worker knows job type {job.type!r}")
    config = settings.CONFIG
    seconds = backoff.delay_seconds(job.token, None, first=config.backoff_seconds, cap=config.backoff_cap_seconds)
    version = f"version {job.version} of " if known else ""
    return Snooze(seconds, f"this worker knows no {version}job type {job.type!r}")


def _handled(job: Job, job_type: JobType, context: JobContext) -> Any:
    with context.guard.installed():
        result = resolve(job_type.handler)(context, job_type.payload.model_validate(job.payload))
    context.finish()
    return result


def _tell_misuse(job: Job, context: JobContext) -> None:
    """The job waits, so it can't end now: a rule broken meanwhile is what its next claim ends with."""
    if context.misuse is not None:
        logger.error("%s waits for %r, but %s", job, context.suspended, context.misuse.detail)
        code, detail = _told(context.misuse)
        waits.tell_misuse(job.pk, job.token, {"code": code, "detail": detail})


def _completed(job: Job, job_type: JobType, result: Any) -> Ended:
    try:
        stored = job_type.adapter.dump_python(job_type.adapter.validate_python(result), mode="json")
        text = json.dumps(stored)
    except (ValidationError, ValueError, TypeError) as error:
        return _failed(job, HandlerMisuse(f"the result of {job.type} is not what the job type declares: {error}"))
    if len(text) > settings.CONFIG.payload_bytes:
        return _failed(job, PermanentError("result_too_large", f"over {settings.CONFIG.payload_bytes} bytes"))
    require_storable("result", "the result", stored, text)
    return Ended(**_of(job), how=How.REJECTED if isinstance(result, Rejected) else How.DONE, result=stored)


def _failed(job: Job, error: BaseException) -> Ended:
    code, detail = _told(error)
    lines = cleaned("".join(traceback.format_exception(error)))
    if not isinstance(error, HandlerError):
        logger.warning("job %s attempt %s failed", job, job.attempt, exc_info=error)
    return Ended(
        **_of(job),
        how=_how(error),
        error={"code": code, "detail": detail},
        traceback=lines[-TRACEBACK_CHARACTERS:],
        after_seconds=error.seconds if isinstance(error, RetryLater | Snooze) else None,
    )


def _how(error: BaseException) -> How:
    match error:
        case PermanentError() | QueueError():
            return How.HOPELESS
        case Snooze():
            return How.SNOOZED
    return How.INNOCENT if isinstance(error, UNREACHABLE) else How.FAILED


def _told(error: BaseException) -> tuple[str, str]:
    """What the request shows: the handler's own words, but nothing of an unexpected exception's."""
    match error:
        case HandlerError() | QueueError():
            return cleaned(error.code), cleaned(error.detail)[:DETAIL_CHARACTERS]
        case TimeoutError():
            return "timeout", "the job took too long"
    return "internal_error", f"an unexpected {type(error).__name__}; staff see it in the job's timeline"


def _declined(reason: str) -> dict[str, Any]:
    """As if the handler had returned ``Rejected``; the step is told to have failed for this reason."""
    result = Rejected(reason=reason).model_dump(mode="json")
    return {"result": result, "error": {"code": "declined", "detail": reason}}


def _of(job: Job) -> dict[str, Any]:
    alone = job.scope_id is None and job.lane_id is None and job.parent_id is None and job.workflow is None
    return {
        "job_id": job.pk,
        "token": job.token,
        "lane_id": job.lane_id,
        "parent_id": job.parent_id,
        "alone": alone,
    }
