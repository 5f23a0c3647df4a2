"""The page on which a game's chronicle is read, and from which its DMs have the next chapter written."""

from __future__ import annotations

from typing import cast
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from games import queries
from games.jobtypes import CHRONICLE
from games.models import Game, Role
from jobs.errors import NotFound, QueueError
from jobs.models import Job
from jobs.operations.workflows import start

CHAPTERS = 20


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def chronicle(request: HttpRequest, game_id: UUID) -> HttpResponse:
    """The chapters, the latest page of them; a posted wish begins another, and leads to its page."""
    try:
        game = queries.get_game(request.user, game_id)
    except NotFound as error:
        raise Http404 from error
    if request.method != "POST":
        return _page(request, game)
    try:
        job = start(
            CHRONICLE.name,
            {"text": request.POST.get("text", "").strip()},
            user=cast(User, request.user),
            scope=game.scope_key,
            idempotency_key=request.POST.get("key", ""),
            unique=f"chronicle:{game.pk}",
        )
    except QueueError as error:
        return _page(request, game, error)
    return redirect("request", job.public_id)


def _page(request: HttpRequest, game: Game, error: QueueError | None = None) -> HttpResponse:
    before = request.GET.get("before", "")
    chapters = game.chapters.order_by("-number")
    if before.isdecimal() and len(before) < 10:
        chapters = chapters.filter(number__lt=int(before))
    shown = list(chapters[: CHAPTERS + 1])
    making = Job.objects.open().in_scope(game.scope_key).filter(type=CHRONICLE.name).order_by("pk").first()
    told = game.chapters.order_by("-number").values_list("last_turn", flat=True).first() or 0
    context = {
        "game": game,
        "directs": game.role_of(request.user) == Role.DM,
        "chapters": shown[:CHAPTERS][::-1],
        "earlier": shown[CHAPTERS - 1].number if len(shown) > CHAPTERS else None,
        "latest": not before,
        "making": making,
        "untold": game.turn - told,
        "error": error,
        "typed": request.POST.get("text", ""),
    }
    return render(request, "games/chronicle.html", context, status=error.status if error else 200)
