"""Who opens a WebSocket: a program with a bearer token, or one of our own pages with its session.

Cookies travel with any page's request, so a socket opened by cookie must come from an origin of ours;
otherwise the handshake is denied (403). Without a valid token or session the socket is accepted, told why and
closed with 4401, because a browser hides the answer to a denied handshake from the page.
"""

import json
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.auth.models import User
from django.db import DatabaseError
from django.http import HttpRequest, parse_cookie
from django.http.request import split_domain_port, validate_host

from accounts import tokens
from accounts.models import ApiToken, Scope
from accounts.sessions import users_of
from accounts.threads import in_thread

UNAUTHORIZED = 4401

Message = dict[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]
App = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]


@dataclass(frozen=True)
class Caller:
    """Who is at the other end: the user, what the token allows, and the token or session that says so."""

    user: User
    scopes: frozenset[str]
    token: ApiToken | None = None
    session_key: str = ""

    def holds(self) -> bool:
        """Whether the token or the session is still good."""
        return tokens.is_valid(self.token) if self.token else _session_user(self.session_key) == self.user

    async def still_valid(self) -> bool:
        """False once the session has ended, the token was revoked, or the user was locked out.

        While the database can't say, True: nothing can be read from it meanwhile either.
        """
        try:
            return await in_thread(self.holds)
        except DatabaseError:
            return True


class SocketAuthentication:
    """Puts ``caller``, ``user``, ``token_scopes`` and ``revalidate`` into the scope, or refuses."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        headers = {name.decode("latin1"): value.decode("latin1") for name, value in scope["headers"]}
        if "authorization" not in headers and not is_own_origin(headers):
            await receive()
            await send({"type": "websocket.close"})
            return
        caller = await in_thread(identify, headers)
        if caller is None:
            await receive()
            await send({"type": "websocket.accept"})
            await refuse(send, UNAUTHORIZED, "unauthorized", "sign in, or send a valid token")
            return
        known = {
            "caller": caller,
            "user": caller.user,
            "token_scopes": caller.scopes,
            "revalidate": caller.still_valid,
        }
        await self.app({**scope, **known}, receive, send)


async def refuse(send: Send, close_code: int, code: str, detail: str) -> None:
    """Say why, then close an accepted socket."""
    error = {"type": "error", "id": None, "code": code, "detail": detail}
    await send({"type": "websocket.send", "text": json.dumps(error)})
    await send({"type": "websocket.close", "code": close_code})


def is_own_origin(headers: dict[str, str]) -> bool:
    """Whether the page that opens the socket was served by this host, or by an origin that we trust."""
    origin, host = headers.get("origin", ""), headers.get("host", "")
    if origin in settings.CSRF_TRUSTED_ORIGINS:
        return True
    scheme = "https" if settings.SESSION_COOKIE_SECURE else "http"
    domain, _ = split_domain_port(host)
    return bool(domain) and validate_host(domain, settings.ALLOWED_HOSTS) and origin == f"{scheme}://{host}"


def identify(headers: dict[str, str]) -> Caller | None:
    """The caller by token if the request brings one, by session otherwise."""
    if "authorization" in headers:
        return _by_token(headers["authorization"])
    return by_session(parse_cookie(headers.get("cookie", "")).get(settings.SESSION_COOKIE_NAME))


def _by_token(header: str) -> Caller | None:
    token = tokens.of_header(header)
    return by_token(token) if token else None


def by_token(token: ApiToken) -> Caller:
    """The caller who sent this token."""
    return Caller(token.user, frozenset(token.scopes), token=token)


def by_session(key: str | None) -> Caller | None:
    """The caller with this session; ``None`` if it has ended."""
    user = _session_user(key) if key else None
    return Caller(user, frozenset(Scope.values), session_key=key or "") if user else None


def those_still_valid(callers: Collection[Caller]) -> set[Caller]:
    """Those whose token or session is still good; all tokens are asked at once, and so are all sessions."""
    good = tokens.valid_ids(caller.token.pk for caller in callers if caller.token)
    users = users_of({caller.session_key for caller in callers if not caller.token})
    return {
        caller
        for caller in callers
        if (caller.token.pk in good if caller.token else users.get(caller.session_key) == caller.user)
    }


def _session_user(key: str | None) -> User | None:
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(key)
    user = get_user(request)
    return user if isinstance(user, User) else None
