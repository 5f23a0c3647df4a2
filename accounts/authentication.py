"""Who calls the HTTP API: a bearer token, or a browser's session.

A request with an ``Authorization`` header is judged by it alone: cookies are ignored and CSRF has no hold on
it. Without one the session counts, and whatever changes something must carry the CSRF token.
"""

from typing import cast

from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware
from ninja.errors import AuthenticationError
from ninja.security.base import AuthBase

from accounts import tokens
from accounts.models import Scope


class Caller(AuthBase):
    """The API's ``auth=``: the calling user, whose token must have this scope. Sets ``request.user`` too."""

    openapi_type = "http"
    openapi_scheme = "bearer"

    def __init__(self, scope: Scope) -> None:
        super().__init__()
        self.scope = scope

    def __call__(self, request: HttpRequest) -> User | None:
        header = request.headers.get("Authorization")
        return self._by_session(request) if header is None else self._by_token(request, header)

    def _by_token(self, request: HttpRequest, header: str) -> User:
        token = tokens.of_header(header)
        if token is None:
            raise AuthenticationError(message="the token is unknown, expired or revoked")
        if self.scope not in token.scopes:
            raise PermissionDenied(f"the token lacks the scope {self.scope.value!r}")
        request.user = token.user
        return token.user

    def _by_session(self, request: HttpRequest) -> User | None:
        if not isinstance(request.user, User):
            return None
        if reason := _csrf_mistake(request):
            raise PermissionDenied(reason)
        return request.user


class _Csrf(CsrfViewMiddleware):
    """Django's check, which answers with its reason instead of a page."""

    def _reject(self, request: HttpRequest, reason: str) -> str:
        return reason


def _csrf_mistake(request: HttpRequest) -> str | None:
    """Why this request may come from a foreign page, if it changes something and may."""
    check = _Csrf(_view)
    check.process_request(request)
    return cast(str | None, check.process_view(request, _view, (), {}))


def _view(request: HttpRequest) -> HttpResponse:
    """What the middleware is to protect; it is never called."""
    return HttpResponse()


CAN_READ = Caller(Scope.READ)
CAN_PLAY = Caller(Scope.PLAY)
CAN_DECIDE = Caller(Scope.DECIDE)
CAN_OPERATE = Caller(Scope.OPERATE)
