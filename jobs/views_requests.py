"""The page of one request: what has become of it, what it waits for, and what may be done about it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any, cast
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from jobs import registry
from jobs.errors import Invalid, NotFound, QueueError
from jobs.events.vocabulary import NUMBERED
from jobs.models import Job
from jobs.operations import confirmations, requests
from jobs.owners import may_steer
from jobs.progress import progress_of
from jobs.queries import blocked_by, position
from jobs.rules import may_inspect
from jobs.timeline import timeline
from jobs.why import why_waiting

RESULT_CHARACTERS = 20_000


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def request_page(request: HttpRequest, request_id: UUID) -> HttpResponse:
    """The request, live with JavaScript and by reload without. A posted action is done, and the page comes back."""
    user = cast(User, request.user)
    error: QueueError | None = None
    if request.method == "POST":
        try:
            said = _do(user, request_id, request)
        except NotFound as missing:
            raise Http404 from missing
        except QueueError as refusal:
            error = refusal
        else:
            messages.success(request, said)
            return redirect("request", request_id)
    try:
        job = requests.find(user, request_id)
    except NotFound as missing:
        raise Http404 from missing
    fragment = request.headers.get("X-Fragment") == "1"
    template = "jobs/_request.html" if fragment else "jobs/request.html"
    return render(request, template, _shown(user, job, error, request), status=error.status if error else 200)


def _do(user: User, request_id: UUID, request: HttpRequest) -> str:
    """Carry out the button that was pressed; what to tell."""
    actions: dict[str, Callable[[], str]] = {
        "confirm": lambda: _confirm(user, request_id, request, None),
        "say": lambda: _confirm(user, request_id, request, request.POST.get("text", "")),
        "cancel": lambda: _cancel(user, request_id),
        "retry": lambda: _retry(user, request_id),
    }
    action = actions.get(request.POST.get("do", ""))
    if action is None:
        raise Invalid("press one of the buttons")
    return action()


def _confirm(user: User, request_id: UUID, request: HttpRequest, text: str | None) -> str:
    version = request.POST.get("version", "")
    said = confirmations.confirm(
        user=user,
        request_id=request_id,
        text=text,
        step=request.POST.get("step", ""),
        version=int(version) if version.isdecimal() and len(version) < 9 else 0,
        idempotency_key=request.POST.get("key", ""),
    )
    return "Confirmed." if not said.is_open else "Noted. This does not confirm it."


def _cancel(user: User, request_id: UUID) -> str:
    job = requests.cancel(user=user, request_id=request_id)
    return "Called off." if job.ended else "It is being called off."


def _retry(user: User, request_id: UUID) -> str:
    requests.retry(user=user, request_id=request_id)
    return "It runs again."


def _shown(user: User, job: Job, error: QueueError | None, request: HttpRequest) -> dict[str, Any]:
    steers, staff = may_steer(user, job), user.is_staff
    rules = registry.scope_rules(job.scope.key) if job.scope else None
    sees = steers or (rules is not None and job.scope is not None and rules.may_see(user, job.scope.key))
    decides = rules is not None and job.scope is not None and rules.may_decide(user, job.scope.key)
    told = sees or may_inspect(user)
    why = why_waiting(job)
    return {
        "job": job,
        "title": job.workflow.title if job.workflow else job.type.replace("_", " ").capitalize(),
        "progress": progress_of(job, user),
        "timeline": timeline(job, decides=decides, told=told),
        "told": told,
        "why": why,
        "why_linked": why is not None and why.url != request.path and _may_open(why.url, decides=decides, staff=staff),
        "position": position(job),
        "blocked_by": blocked_by(job),
        "payload": _pretty(job.payload) if steers else "",
        "result": _result(job) if told else [],
        "label": rules.label(job.scope.key) if rules and job.scope else "",
        "home": rules.page(job.scope.key) if rules and job.scope and sees else "",
        "may_cancel": requests.may_cancel(user, job),
        "may_retry": requests.may_retry(user, job),
        "error": error,
        "typed": request.POST.get("text", "") if error else "",
        "key": uuid.uuid4().hex,
        "text_characters": settings.CONFIG.action_characters,
        "events": " ".join(sorted([*NUMBERED, "hidden"])),
    }


def _may_open(url: str, *, decides: bool, staff: bool) -> bool:
    """Whether the page of what is waited for is for this user."""
    return staff if url.startswith(reverse("admin:index")) else decides


def _result(job: Job) -> list[tuple[str, str]]:
    """The result for people: each field of an object, or the whole."""
    if job.result is None:
        return []
    fields = job.result if isinstance(job.result, dict) else {"result": job.result}
    return [(name.replace("_", " "), _text(value)) for name, value in fields.items() if value not in ("", [], {}, None)]


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else _pretty(value)
    return text if len(text) <= RESULT_CHARACTERS else f"{text[:RESULT_CHARACTERS]}…"


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
