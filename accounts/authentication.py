"""Who calls the HTTP API: a bearer token, or a browser's session.

A request with an ``Authorization`` header is judged by it alone: cookies are ignored and CSRF has no hold on
it. Without one the session counts, and whatever changes something must carry the CSRF token.
"""

from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from ninja.errors import AuthenticationError
from ninja.security.base import AuthBase
from ninja.utils import check_csrf

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
        scheme, _, raw = header.partition(" ")
        token = tokens.authenticate(raw.strip()) if scheme.lower() == "bearer" else None
        if token is None:
            raise AuthenticationError(message="the token is unknown, expired or revoked")
        if self.scope not in token.scopes:
            raise PermissionDenied(f"the token lacks the scope {self.scope.value!r}")
        request.user = token.user
        return token.user

    def _by_session(self, request: HttpRequest) -> User | None:
        if not isinstance(request.user, User):
            return None
        if check_csrf(request):
            raise PermissionDenied("the CSRF token is missing or wrong")
        return request.user


CAN_READ = Caller(Scope.READ)
CAN_PLAY = Caller(Scope.PLAY)
CAN_DECIDE = Caller(Scope.DECIDE)
