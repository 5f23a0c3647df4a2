"""A server on loopback that speaks OpenAI's streaming chat completions, and misbehaves on demand."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import Message
from typing import Any, NamedTuple

from queueproject.testing.loopback import LoopbackExchange, LoopbackServer, serving

Behaviour = Callable[["Exchange"], None]


class Request(NamedTuple):
    """What a client sent, and from which connection."""

    path: str
    headers: Message
    body: dict[str, Any]
    connection: tuple[str, int]


class OpenAIServer(LoopbackServer):
    """Plays its behaviours one request after another, and goes on with the last."""

    def __init__(self) -> None:
        super().__init__(Exchange)
        self.requests: list[Request] = []
        self._behaviours: list[Behaviour] = []

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    def will(self, *behaviours: Behaviour) -> None:
        self._behaviours = list(behaviours)

    def next_behaviour(self) -> Behaviour:
        return self._behaviours.pop(0) if len(self._behaviours) > 1 else self._behaviours[0]


class Exchange(LoopbackExchange):
    """One request, and what a behaviour needs to answer it."""

    server: OpenAIServer

    def do_POST(self) -> None:
        self.server.requests.append(Request(self.path, self.headers, json.loads(self.body()), self.client_address))
        self.server.next_behaviour()(self)

    def begin(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def raw(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))

    def event(self, data: object) -> None:
        self.raw(f"data: {json.dumps(data)}\n\n".encode())

    def say(self, text: str) -> None:
        """The text as chunks of a word each."""
        for word in text.split(" "):
            self.event(chunk({"content": f"{word} "}))

    def end(self) -> None:
        """The end of an orderly answer; without it and ``hang_up`` the connection stays open."""
        self.raw(b"data: [DONE]\n\n")
        self.wfile.write(b"0\r\n\r\n")

    def hang_up(self) -> None:
        self.close_connection = True


def chunk(delta: dict[str, Any] | None, finish: str | None = None, **fields: Any) -> dict[str, Any]:
    """A chunk as OpenAI sends it."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "c1", "object": "chat.completion.chunk", "model": "tiny-1", "choices": [choice], **fields}


USAGE = {"prompt_tokens": 21, "completion_tokens": 8, "total_tokens": 29}


def says(text: str, *, finish: str | None = "stop", usage: Any = USAGE) -> Behaviour:
    """An orderly answer."""

    def play(exchange: Exchange) -> None:
        exchange.begin()
        exchange.event(chunk({"role": "assistant", "content": None}))
        exchange.say(text)
        if finish:
            exchange.event(chunk({}, finish))
        if usage:
            exchange.event({**chunk(None), "choices": [], "usage": usage})
        exchange.end()

    return play


def says_slowly(text: str, *, pause_seconds: float = 0.1, finish: str = "stop") -> Behaviour:
    """An orderly answer, with a pause before each word."""

    def play(exchange: Exchange) -> None:
        exchange.begin()
        for word in text.split(" "):
            exchange.server.stopping.wait(pause_seconds)
            exchange.say(word)
        exchange.event(chunk({}, finish))
        exchange.end()

    return play


def says_much(exchange: Exchange) -> None:
    """An orderly answer of 50 MB."""
    exchange.begin()
    for _ in range(500):
        exchange.event(chunk({"content": "so much to tell " * 6250}))
    exchange.event(chunk({}, "stop"))
    exchange.end()


def status(code: int, message: str = "no", *, error_code: str | None = None, **headers: str) -> Behaviour:
    """An error instead of an answer."""
    body = json.dumps({"error": {"message": message, "code": error_code}}).encode()
    return lambda exchange: exchange.answer(code, body, **headers)


def answers(body: bytes, **headers: str) -> Behaviour:
    """Status 200 and something else than a stream."""
    return lambda exchange: exchange.answer(200, body, **headers)


def error_without_end(exchange: Exchange) -> None:
    """Status 500 with a body of 200 MB, a piece at a time."""
    exchange.send_response(500)
    exchange.send_header("Content-Length", "200000000")
    exchange.end_headers()
    for _ in range(200):
        exchange.wfile.write(b"x" * 1_000_000)


def streams(*events: object) -> Behaviour:
    """Exactly these events: JSON, or bytes as they are."""

    def play(exchange: Exchange) -> None:
        exchange.begin()
        for event in events:
            exchange.raw(event) if isinstance(event, bytes) else exchange.event(event)
        exchange.end()

    return play


def breaks_after(text: str, *, finish: str | None = None) -> Behaviour:
    """Hangs up in the middle, without an end."""

    def play(exchange: Exchange) -> None:
        exchange.begin()
        exchange.say(text)
        if finish:
            exchange.event(chunk({}, finish))
        exchange.hang_up()

    return play


def never_ends(data: bytes = b": still here\n\n", *, first: str = "", pause_seconds: float = 0.02) -> Behaviour:
    """Sends ``data`` again and again until the client hangs up."""

    def play(exchange: Exchange) -> None:
        exchange.begin()
        if first:
            exchange.say(first)
        while not exchange.server.stopping.wait(pause_seconds):
            exchange.raw(data)

    return play


def silent(exchange: Exchange) -> None:
    """Takes the request and says nothing."""
    exchange.server.stopping.wait(30)
    exchange.hang_up()


@contextmanager
def running() -> Iterator[OpenAIServer]:
    """A server of one's own on a free port."""
    with serving(OpenAIServer()) as server:
        yield server
