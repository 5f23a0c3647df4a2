"""Streams beside Django: what a client of HTTP asks for at their addresses doesn't go through its request cycle."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from django.urls import URLPattern

from accounts.sockets import App, Receive, Send


def beside(http: Callable[..., Awaitable[None]], routes: Sequence[URLPattern]) -> App:
    """HTTP by Django, but by ``routes`` where one of them fits."""

    async def application(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        path = scope["path"].removeprefix("/")
        for route in routes:
            if found := route.pattern.match(path):
                kwargs = {"url_route": {"kwargs": found[2]}}
                await route.callback({**scope, **kwargs}, receive, send)
                return
        await http(scope, receive, send)

    return application
