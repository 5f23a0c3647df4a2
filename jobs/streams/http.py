"""HTTP without Django's request cycle, which would hold a thread for every open stream: asking and refusing."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import parse_qsl

from django.conf import settings
from django.http.request import split_domain_port, validate_host

from accounts.sockets import Send
from jobs.errors import (
    BadRequest,
    Forbidden,
    Invalid,
    MethodNotAllowed,
    NotAcceptable,
    QueueError,
    Refused,
    Unauthorized,
)

EVENT_STREAM = "text/event-stream"
ACCEPTABLE = {EVENT_STREAM, "text/*", "*/*"}
COMMON_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin"}


@dataclass(frozen=True)
class Request:
    """What a client asks for."""

    method: str
    path: str
    headers: dict[str, str]
    query: dict[str, str]

    @classmethod
    def of(cls, scope: dict[str, Any]) -> Self:
        """From the ASGI scope."""
        headers = {name.decode("latin1"): value.decode("latin1") for name, value in scope["headers"]}
        query = dict(parse_qsl(scope["query_string"].decode("latin1"), keep_blank_values=True))
        return cls(scope["method"], scope["path"], headers, query)

    def check(self) -> None:
        """Raise what is wrong with it, as long as nobody has asked who sent it."""
        domain, _ = split_domain_port(self.headers.get("host", ""))
        if not validate_host(domain, settings.ALLOWED_HOSTS):
            raise BadRequest("this host name is not ours")
        if self.method != "GET":
            raise MethodNotAllowed("streams are read: GET")
        accepted = {part.partition(";")[0].strip().lower() for part in self.headers.get("accept", "*/*").split(",")}
        if not accepted & ACCEPTABLE:
            raise NotAcceptable(f"the answer is {EVENT_STREAM}")
        self.cursor()

    def cursor(self) -> int | None:
        """The number of the last event that the client knows, if it knows any; ``Invalid`` for anything else.

        A browser that reconnects sends the header; its address still says where it once began.
        """
        for given, where in ((self.headers, "last-event-id"), (self.query, "last_event_id")):
            if text := given.get(where, ""):
                if not (text.isascii() and text.isdigit() and len(text) <= 18):
                    raise Invalid(f"{where}: not the number of an event", fields={where: "not the number of an event"})
                return int(text)
        return None


async def refuse(send: Send, error: QueueError) -> None:
    """Answer with the error as JSON."""
    headers = {"Content-Type": "application/json"}
    match error:
        case Refused():
            headers["Retry-After"] = str(math.ceil(error.retry_after))
        case MethodNotAllowed():
            headers["Allow"] = "GET"
        case Unauthorized() | Forbidden():
            headers["WWW-Authenticate"] = "Bearer"
    await respond(send, error.status, headers, json.dumps(error.as_dict()).encode())


async def respond(send: Send, status: int, headers: dict[str, str], body: bytes) -> None:
    """A whole answer."""
    await start(send, status, headers | {"Content-Length": str(len(body))})
    await send({"type": "http.response.body", "body": body})


async def start(send: Send, status: int, headers: dict[str, str]) -> None:
    """The beginning of an answer."""
    raw = [(name.encode(), value.encode()) for name, value in (COMMON_HEADERS | headers).items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
