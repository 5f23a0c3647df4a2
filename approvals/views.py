"""The decision queue's pages. Each works without JavaScript; with it, parts of them are fetched as fragments."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from approvals import operations
from approvals.cards import Card, cards_of, labels_of
from approvals.forms import DecisionForm
from approvals.history import Filters
from approvals.models import Approval
from approvals.queries import by_due_time, decidable_keys, newest_first
from approvals.rules import caller, find
from approvals.states import Decision
from jobs.errors import Conflict, Forbidden, Invalid, NotFound

View = Callable[..., HttpResponse]

CARDS = 20
ROWS = 50


def for_deciders(view: View) -> View:
    """For those signed in; who decides nowhere, or not here, gets 403, a stranger to the approval 404."""

    @wraps(view)
    def guarded(request: HttpRequest, **kwargs: Any) -> HttpResponse:
        if not decidable_keys(caller(request)):
            return render(request, "approvals/nowhere.html", status=403)
        try:
            return view(request, **kwargs)
        except NotFound as error:
            raise Http404 from error
        except Forbidden as error:
            raise PermissionDenied from error
        except Invalid:  # a cursor that is none of ours: begin again
            return redirect(request.path)

    return never_cache(login_required(guarded))


@for_deciders
@require_safe
def queue(request: HttpRequest) -> HttpResponse:
    """What waits for a decision, the most urgent first."""
    return render(request, "approvals/queue.html", _pending(request))


@for_deciders
@require_safe
def pending(request: HttpRequest) -> HttpResponse:
    """The same page's list, as a fragment."""
    return render(request, "approvals/_queue.html", _pending(request))


@for_deciders
@require_safe
def history(request: HttpRequest) -> HttpResponse:
    """What was decided, the latest first, by game, decision and person."""
    user = caller(request)
    filters = Filters.read(request.GET)
    past = filters.apply(Approval.objects.decidable_by(user).past())
    page = newest_first(past, limit=ROWS, cursor=_cursor(request))
    labels = labels_of(decidable_keys(user))
    context = {
        "filters": filters,
        "games": sorted(labels.items(), key=lambda item: item[1]),
        "decisions": Decision.choices,
        "rows": [(approval, labels.get(approval.scope.key, "")) for approval in page.items],
        "next": filters.query(page.next),
    }
    return render(request, "approvals/history.html", context)


@for_deciders
@require_http_methods(["GET", "HEAD", "POST"])
def card(request: HttpRequest, approval_id: UUID) -> HttpResponse:
    """One approval with its history. A posted decision is taken, or shown again with what was typed and why not."""
    if request.method != "POST":
        return _show(request, _card(request, approval_id))
    form = DecisionForm.posted(request.POST)
    try:
        operations.decide(user=caller(request), approval_id=approval_id, **form.said())
    except (Invalid, Conflict) as error:
        return _show(request, _card(request, approval_id).refused(form, error), status=error.status)
    if _wants_fragment(request):
        return _show(request, _card(request, approval_id))
    messages.success(request, f"Done: {Decision(form.decision).label}.")
    return redirect("decisions")


def _pending(request: HttpRequest) -> dict[str, Any]:
    mine = Approval.objects.decidable_by(caller(request)).pending()
    page = by_due_time(mine, limit=CARDS, cursor=_cursor(request))
    return _common() | {"cards": cards_of(page.items), "next": page.next, "cursor": _cursor(request)}


def _cursor(request: HttpRequest) -> str:
    return request.GET.get("cursor", "")


def _card(request: HttpRequest, approval_id: UUID) -> Card:
    return cards_of([find(caller(request), approval_id)])[0]


def _show(request: HttpRequest, card: Card, *, status: int = 200) -> HttpResponse:
    template = "approvals/_card.html" if _wants_fragment(request) else "approvals/card.html"
    return render(request, template, _common() | {"card": card}, status=status)


def _wants_fragment(request: HttpRequest) -> bool:
    return request.headers.get("X-Fragment") == "1"


def _common() -> dict[str, Any]:
    return {
        "now": timezone.now(),
        "ops": ("set", "add", "remove"),
        "most_drafts": settings.CONFIG.decision_drafts,
        "text_characters": settings.CONFIG.llm_characters,
        "reason_characters": settings.CONFIG.action_characters,
    }
