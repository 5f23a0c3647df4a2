"""Answers from other systems: a token is minted before anything is submitted, and whoever has it may answer once.

A token is derived from the secret key, the job, its run and the callback's name, so every replay hands out the same;
stored is only its hash.
"""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.utils.crypto import salted_hmac

from jobs import registry
from jobs.errors import Conflict, Forbidden, Gone, HandlerMisuse, Invalid, NotFound, PermanentError
from jobs.events.ledger import ledger
from jobs.failpoints import failpoint
from jobs.lookup import one
from jobs.models import Job, Wait
from jobs.models_steps import JobStep, StepKind
from jobs.models_waits import WaitState
from jobs.operations import answers
from jobs.operations.leases import lock_held
from jobs.operations.transitions import lock, record_step


def answer_name(name: str) -> str:
    """The step under which the answer to this callback is kept."""
    return f"{name}.answer"


def path(token: str) -> str:
    """Where on this site the answer is posted to."""
    return f"/v1/callbacks/{token}"


def mint(job_id: int, token: int, *, name: str, verifier: str) -> JobStep:
    """Expect an answer from outside, which may come from now on. ``HandlerMisuse`` for an unknown verifier."""
    if verifier and verifier not in registry.verifiers():
        raise HandlerMisuse(f"callback {name!r}: no verifier {verifier!r} is registered")
    with ledger():
        job = lock_held(job_id, token)
        digest = _digest(_token(job, name, settings.SECRET_KEY))
        Wait.objects.create(
            job=job,
            run=job.run,
            name=answer_name(name),
            kind=StepKind.ANSWER,
            digest=digest,
            verifier=verifier,
        )
        step = record_step(job, name=name, kind=StepKind.CALLBACK, result=digest)
        failpoint("in_mint")
        return step


def token_of(job: Job, minted: JobStep) -> str:
    """The token of a minted callback. ``PermanentError`` if the secret key it was made with is no longer known."""
    for key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS):
        token = _token(job, minted.name, key)
        if _digest(token) == minted.result:
            return token
    raise PermanentError("callback_lost", f"the secret key that made the token of {minted.name!r} is gone")


def _token(job: Job, name: str, key: str | bytes) -> str:
    mac = salted_hmac("jobs.callback", f"{job.public_id}:{job.run}:{name}", secret=key, algorithm="sha256")
    return urlsafe_b64encode(mac.digest()).decode().rstrip("=")


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def deliver(token: str, answer: Any, *, headers: Mapping[str, str], body: bytes) -> None:
    """Take an answer, given as JSON and as it was sent. The same one again is fine.

    ``NotFound`` for a token nobody minted, ``Forbidden`` when the callback's verifier does not believe the sender,
    ``Conflict`` when another answer was there first, ``Gone`` when nobody waits any more; ``Invalid`` for an answer
    that is too large or can't be stored.
    """
    wait = one(Wait.objects.filter(digest=_digest(token)))
    if wait is None:
        raise NotFound("there is no such callback")
    if wait.verifier and not _believed(wait.verifier, headers, body):
        raise Forbidden("the sender can't be verified", code="not_verified")
    _check(answer, body)
    with ledger() as book:
        job = lock([wait.job_id]).get(wait.job_id)
        wait.refresh_from_db()
        if wait.state == WaitState.ANSWERED:
            if wait.answer != answer:
                raise Conflict("another answer was there first", code="answered")
        elif job is None or job.ended or job.run != wait.run or wait.state != WaitState.OPEN:
            raise Gone("nobody waits for this answer any more")
        else:
            answers.give(book, job, name=wait.name, answer=answer)
            failpoint("in_deliver")


def _believed(verifier: str, headers: Mapping[str, str], body: bytes) -> bool:
    """A verifier that this process does not know believes nobody."""
    verify = registry.verifiers().get(verifier)
    return verify is not None and verify(headers, body)


def _check(answer: Any, body: bytes) -> None:
    if len(body) > settings.CONFIG.payload_bytes:
        raise Invalid(f"the answer is larger than {settings.CONFIG.payload_bytes} bytes", code="too_large")
    try:
        json.dumps(answer, allow_nan=False)
    except ValueError:
        raise Invalid("the answer contains a number that is too large") from None
