"""A game's server as the console sees it from far away: on loopback, its event stream spoilt on demand."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from queueproject.testing.loopback import LoopbackExchange, LoopbackServer, serving

HELLO = b"retry: 1000\n\nid: 0\n\n"

Behaviour = Callable[["Exchange"], None]


class FarServer(LoopbackServer):
    """One game without Django. ``stream`` and ``load`` say what comes of the stream and of everything else."""

    def __init__(self) -> None:
        super().__init__(Exchange)
        self.stream: Behaviour = silent
        self.load: Behaviour = as_it_stands
        self.turns: list[dict[str, Any]] = []
        self.state: dict[str, Any] = {"clock": 1}
        self.requests: dict[str, dict[str, Any]] = {}
        self.asked: list[str] = []
        self.posted: list[bytes] = []

    def tell(self, narration: str) -> None:
        """A turn more."""
        number = len(self.turns) + 1
        self.turns.append({"number": number, "request_id": "r", "actor": None, "action": ""})
        self.turns[-1] |= {"narration": narration, "changes": []}

    def cut(self) -> None:
        """Break off the streams that are open."""
        stopping, self.stopping = self.stopping, threading.Event()
        stopping.set()


class Exchange(LoopbackExchange):
    """One request, and what a behaviour needs to answer it."""

    server: FarServer

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        streams = self.path.startswith("/v1/events/")
        (self.server.stream if streams else self.server.load)(self)

    def do_POST(self) -> None:
        """Whatever is asked is done at once."""
        self.server.posted.append(self.body())
        self.answer(202, json.dumps({"request_id": "r", "status": "completed"}).encode())

    def begin(self, content_type: str = "text/event-stream") -> None:
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.end_headers()


def as_it_stands(exchange: Exchange) -> None:
    """The game, its turns after a number, or a request."""
    server = exchange.server
    body: dict[str, Any] = {"name": "Far", "opening": "Fog.", "state": server.state, "turn": 0, "cursor": 0}
    if "/turns" in exchange.path:
        after = int(exchange.path.partition("after=")[2])
        body = {"items": [turn for turn in server.turns if turn["number"] > after]}
    if "/requests/" in exchange.path:
        if (request := exchange.path.rpartition("/")[2]) not in server.requests:
            return refuses(404, "not_found")(exchange)
        body = server.requests[request]
    exchange.answer(200, json.dumps(body).encode())
    return None


def streams(*events: bytes) -> Behaviour:
    """An open stream with these events in it."""

    def play(exchange: Exchange) -> None:
        exchange.begin()
        for event in (HELLO, *events):
            exchange.wfile.write(event)
        exchange.server.stopping.wait(30)

    return play


def ends(exchange: Exchange) -> None:
    """A stream that soon comes to an orderly end, as ours do after some minutes."""
    exchange.begin()
    exchange.wfile.write(HELLO)


def silent(exchange: Exchange) -> None:
    """A stream that begins and brings nothing, as through a proxy that waits for its end."""
    exchange.begin()
    exchange.server.stopping.wait(30)


def resets(exchange: Exchange) -> None:
    """No answer at all."""
    exchange.close_connection = True


def a_page(exchange: Exchange) -> None:
    """What a captive portal answers to everything."""
    exchange.answer(200, b"<html>sign in</html>", Content_Type="text/html")


def says(body: bytes) -> Behaviour:
    """This instead of what was asked for."""
    return lambda exchange: exchange.answer(200, body)


def refuses(status: int, code: str = "", **headers: str) -> Behaviour:
    """A refusal of ours with its code, or a proxy's page without one."""
    ours = json.dumps({"code": code, "detail": f"{code} it is"}).encode()
    body, kind = (ours, "application/json") if code else (b"<html>no</html>", "text/html")
    return lambda exchange: exchange.answer(status, body, Content_Type=kind, **headers)


@contextmanager
def running() -> Iterator[FarServer]:
    """A server of one's own on a free port."""
    with serving(FarServer()) as server:
        yield server
