"""Steps that somebody confirms: asked by the job that waits, answered by a click or a keyword.

An answer is bound to one step at one version. Whoever answers another one than the one that is asked is told so, and
who repeats the answer gets the same again.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models.functions import Now

from accounts import audit
from jobs.clock import in_seconds
from jobs.errors import Conflict, Forbidden, Invalid
from jobs.events.ledger import Ledger, ledger
from jobs.models import Job
from jobs.models_steps import StepKind
from jobs.models_workflows import Confirmation, ConfirmationState, ConfirmationText
from jobs.operations.answers import give
from jobs.operations.leases import lock_held
from jobs.operations.step_events import complete, tell
from jobs.operations.transitions import lock, record_step
from jobs.owners import may_steer
from jobs.queries import get_request
from jobs.workflows import Confirm

WAITS = "waits for a confirmation"
KEY_CHARACTERS = 200

audit.register_action("confirmation.asked")
audit.register_action("confirmation.confirmed")
audit.register_action("confirmation.answered_otherwise")
audit.register_action("confirmation.fell_back")


def wait_name(step: str, version: int) -> str:
    """The durable step under which the answer comes."""
    return f"{step}.{version}.word"


def ask(job_id: int, token: int, *, step: str, version: int, terms: Confirm, draft: dict[str, Any]) -> Confirmation:
    """Ask once, whatever crashes; the one that is asked."""
    config = settings.CONFIG
    with ledger() as book:
        job = lock_held(job_id, token)
        asked, first = Confirmation.objects.get_or_create(
            job=job,
            run=job.run,
            step=step,
            version=version,
            defaults={
                "draft": draft,
                "keywords": list(config.confirm_keywords if terms.keywords is None else terms.keywords),
                "most_attempts": config.confirm_attempts if terms.attempts is None else terms.attempts,
                "due_at": in_seconds(timeout(terms).total_seconds()),
            },
        )
        if first:
            tell(book, job, "progress", step, message=WAITS)
            audit.record("confirmation.asked", actor=None, on=job, step=step, version=version)
        return asked


def timeout(terms: Confirm) -> timedelta:
    """How long somebody may take."""
    seconds = terms.timeout_seconds
    return timedelta(seconds=settings.CONFIG.confirm_seconds if seconds is None else seconds)


def confirm(
    *,
    user: User,
    request_id: UUID,
    text: str | None = None,
    step: str = "",
    version: int | None = None,
    idempotency_key: str = "",
) -> Confirmation:
    """Say something to what a request asks to have confirmed: a keyword, or a click (no ``text``), confirms.

    ``step`` and ``version`` bind it to what the user was shown; without them it is for what is asked now. The same
    key, or the same answer by the same user, gives the same confirmation again.

    ``NotFound`` for strangers, ``Forbidden`` for those who may not, ``Invalid``; ``Conflict`` with code
    ``stale_confirmation`` for another one than is asked, ``nothing_to_confirm`` when nothing is.
    """
    _check(text, step, idempotency_key)
    found = get_request(user, request_id)
    if not may_steer(user, found):
        raise Forbidden("this is for the owner, and for those who decide here")
    with ledger() as book:
        job = lock([found.pk])[found.pk]
        if said_before := _said_before(job, user, idempotency_key):
            return said_before
        asked = _asked(job)
        if asked is None or not _is_meant(asked, step, version):
            return _repeated(job, user, step, version, asked)
        confirms = text is None or is_keyword(text, asked.keywords)
        ConfirmationText.objects.create(
            confirmation=asked, by=user, text=text or "", key=idempotency_key, confirms=confirms
        )
        if confirms:
            _confirm(book, job, asked, user, "click" if text is None else "keyword")
        else:
            _answer_otherwise(book, job, asked, user)
        return asked


def is_keyword(text: str, keywords: list[str]) -> bool:
    """Whether it is one of the words, in any case, and nothing else but space and punctuation around it."""
    return text.strip().strip(".!… ").casefold() in {word.casefold() for word in keywords}


def _check(text: str | None, step: str, key: str) -> None:
    mistakes = {}
    if text is not None and not 0 < len(text.strip()) <= settings.CONFIG.action_characters:
        mistakes["text"] = f"1 to {settings.CONFIG.action_characters} characters; leave it out to confirm by a click"
    if text is not None and "\0" in text:
        mistakes["text"] = "has control characters"
    if not step.isprintable():
        mistakes["step"] = "is no step's name"
    if len(key) > KEY_CHARACTERS or not key.isprintable():
        mistakes["idempotency_key"] = f"at most {KEY_CHARACTERS} printable characters"
    if mistakes:
        raise Invalid("; ".join(f"{path}: {why}" for path, why in mistakes.items()), fields=mistakes)


def _said_before(job: Job, user: User, key: str) -> Confirmation | None:
    if not key:
        return None
    said = ConfirmationText.objects.filter(confirmation__job=job, by=user, key=key)
    first = said.select_related("confirmation").first()
    return first.confirmation if first else None


def _asked(job: Job) -> Confirmation | None:
    """What this locked job asks now; it may not have come to waiting yet."""
    if job.ended:
        return None
    mine = Confirmation.objects.select_for_update().filter(job=job, run=job.run)
    return mine.filter(state=ConfirmationState.OPEN).order_by("-pk").first()


def _is_meant(asked: Confirmation, step: str, version: int | None) -> bool:
    return (not step or step == asked.step) and (version is None or version == asked.version)


def _repeated(job: Job, user: User, step: str, version: int | None, asked: Confirmation | None) -> Confirmation:
    """The one that this user has confirmed already; else why there is nothing for this answer."""
    earlier = Confirmation.objects.filter(job=job, run=job.run).order_by("-pk")
    if step:
        earlier = earlier.filter(step=step)
    if version is not None:
        earlier = earlier.filter(version=version)
    last = earlier.first()
    if last is not None and last.state == ConfirmationState.CONFIRMED and last.confirmed_by_id == user.pk:
        return last
    if asked is not None:
        detail = f"step {asked.step!r} in version {asked.version} is to be confirmed now"
        raise Conflict(detail, code="stale_confirmation", step=asked.step, version=asked.version)
    state = last.state if last else None
    raise Conflict("nothing waits for a confirmation", code="nothing_to_confirm", state=state)


def _confirm(book: Ledger, job: Job, asked: Confirmation, user: User, how: str) -> None:
    answer = {"confirmed": True, "by": user.get_username()}
    if not give(book, job, name=wait_name(asked.step, asked.version), answer=answer):
        raise Conflict("the time to confirm it is over", code="nothing_to_confirm", state=asked.state)
    asked.state, asked.confirmed_by = ConfirmationState.CONFIRMED, user
    asked.save(update_fields=["state", "confirmed_by"])
    Confirmation.objects.filter(pk=asked.pk).update(confirmed_at=Now())
    tell(book, job, "progress", asked.step, message="confirmed", private={"by": user.get_username(), "how": how})
    audit.record("confirmation.confirmed", actor=user, on=job, step=asked.step, version=asked.version, how=how)


def _answer_otherwise(book: Ledger, job: Job, asked: Confirmation, user: User) -> None:
    asked.attempts += 1
    asked.save(update_fields=["attempts"])
    told = {"step": asked.step, "version": asked.version, "attempt": asked.attempts}
    audit.record("confirmation.answered_otherwise", actor=user, on=job, **told)
    if asked.attempts >= asked.most_attempts:
        give(book, job, name=wait_name(asked.step, asked.version), answer={"confirmed": False})


def fall_back(job_id: int, token: int, *, step: str, version: int, why: str, then: str) -> None:
    """Nobody confirmed it: note what comes instead, once."""
    with ledger() as book:
        job = lock_held(job_id, token)
        asked = Confirmation.objects.filter(job=job, run=job.run, step=step, version=version)
        if asked.filter(state=ConfirmationState.OPEN).update(state=ConfirmationState.FELL_BACK):
            tell(book, job, "progress", step, message=why)
            audit.record("confirmation.fell_back", actor=None, on=job, step=step, version=version, why=why, then=then)


def settle(job_id: int, token: int, *, step: str, name: str, ruling: dict[str, Any], message: str) -> None:
    """Store what became of a confirmation that is a step of its own, which completes it."""
    with ledger() as book:
        job = lock_held(job_id, token)
        record_step(job, name=name, kind=StepKind.DECIDE, result=ruling)
        complete(book, job, step, message=message)
