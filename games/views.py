"""The pages of games: whose they are, and the one in which they are played."""

from __future__ import annotations

import json
from typing import Any, get_args
from uuid import UUID

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from accounts.views import sign_in
from games import entries, queries
from games.forms import ActionForm
from games.models import Game, Role
from games.operations import act, chat
from games.words import state_rows
from jobs.changes import Op
from jobs.errors import NotFound, QueueError
from jobs.models import Job, request_uuid


@never_cache
@require_safe
def index(request: HttpRequest) -> HttpResponseBase:
    """The way in: the sign-in form, or one's games and whether something waits in them."""
    if not request.user.is_authenticated:
        return sign_in(request)
    mine = list(queries.memberships(request.user))
    waiting = entries.waiting(request.user, [membership.game for membership in mine])
    rows = [(membership, waiting.get(membership.game.scope_key, 0)) for membership in mine]
    return render(request, "games/index.html", {"rows": rows})


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def play(request: HttpRequest, game_id: UUID) -> HttpResponse:
    """A game's page. A posted action is asked for, and the page comes back showing it."""
    game = _game(request, game_id)
    if request.method != "POST":
        return _page(request, game, ActionForm())
    form = ActionForm.posted(request.POST)
    try:
        job = _ask(request, game, form)
    except QueueError as error:
        return _page(request, game, form.again(), error)
    return redirect(f"{reverse('play', args=[game.pk])}#request-{job.public_id}")


@never_cache
@login_required
@require_safe
def entry(request: HttpRequest, game_id: UUID, request_id: UUID) -> HttpResponse:
    """One entry of the log, as a fragment."""
    game = _game(request, game_id)
    try:
        found = entries.one(game, request_id)
    except NotFound as error:
        raise Http404 from error
    return render(request, "games/_entry.html", {"entry": found, "game": game, "role": game.role_of(request.user)})


@never_cache
@login_required
@require_safe
def state(request: HttpRequest, game_id: UUID) -> HttpResponse:
    """The state's panel, as a fragment."""
    game = _game(request, game_id)
    return render(request, "games/_state.html", {"game": game, **_state(game)})


def _ask(request: HttpRequest, game: Game, form: ActionForm) -> Job:
    if form.chats:
        return chat(user=request.user, game=game, text=form.text, idempotency_key=form.key)
    return act(user=request.user, game=game, text=form.text, changes=form.changes(), idempotency_key=form.key)


def _game(request: HttpRequest, game_id: UUID) -> Game:
    try:
        return queries.get_game(request.user, game_id)
    except NotFound as error:
        raise Http404 from error


def _state(game: Game) -> dict[str, Any]:
    return {"state_rows": list(state_rows(game.state)), "shown": json.dumps(game.state)}


def _page(request: HttpRequest, game: Game, form: ActionForm, error: QueueError | None = None) -> HttpResponse:
    before = request_uuid(request.GET["before"]) if "before" in request.GET else None
    shown, earlier = entries.page(game, before=before)
    role = game.role_of(request.user)
    context = {
        "game": game,
        "role": role,
        "directs": role == Role.DM,
        "entries": shown,
        "earlier": earlier,
        "before": before,
        "dm_online": game.dm_online(),
        "form": form,
        "ops": get_args(Op),
        "error": error,
        "mistakes": error.extra.get("fields", {}) if error else {},
        "action_characters": settings.CONFIG.action_characters,
        **_state(game),
    }
    return render(request, "games/play.html", context, status=error.status if error else 200)
