"""The staff's page of the queues, and the numbers that Prometheus asks for."""

from __future__ import annotations

import secrets

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.db import ProgrammingError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client.exposition import choose_encoder

from accounts import tokens
from accounts.models import Scope
from jobs.connections import UNREACHABLE
from jobs.metrics import REGISTRY
from jobs.overview import THROUGHPUT_MINUTES, overview
from jobs.schema import explained


@never_cache
@login_required
@require_safe
def queues(request: HttpRequest) -> HttpResponse:
    """How each queue stands; live with JavaScript, by reload without."""
    if not request.user.is_staff:
        raise PermissionDenied
    return render(request, "jobs/queues.html", {"overview": overview.read(), "minutes": THROUGHPUT_MINUTES})


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """For superusers by session; for programs with METRICS_TOKEN, or a staff user's token with the scope metrics."""
    if refusal := _refusal(request):
        return refusal
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    try:
        return HttpResponse(encode(REGISTRY), content_type=content_type)
    except (*UNREACHABLE, ProgrammingError) as error:
        return _error(503, "unavailable", explained(error))


def _refusal(request: HttpRequest) -> HttpResponse | None:
    header = request.headers.get("Authorization")
    if header is not None:
        return None if _is_allowed(header) else _error(401, "unauthorized", "this token does not read metrics")
    if not request.user.is_authenticated:
        return _error(401, "unauthorized", "send a bearer token, or sign in")
    return None if request.user.is_superuser else _error(403, "forbidden", "metrics are for superusers")


def _is_allowed(header: str) -> bool:
    scheme, _, raw = header.partition(" ")
    if scheme.lower() != "bearer":
        return False
    own = settings.CONFIG.metrics_token
    if own and secrets.compare_digest(raw.strip().encode(), own.encode()):
        return True
    token = tokens.authenticate(raw.strip())
    return token is not None and Scope.METRICS in token.scopes and token.user.is_staff


def _error(status: int, code: str, detail: str) -> HttpResponse:
    response = JsonResponse({"code": code, "detail": detail}, status=status)
    if status == 401:
        response["WWW-Authenticate"] = "Bearer"
    return response
