"""How requests run in the web process: each on one thread, and no more of them at once than there are threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.signals import request_finished, request_started
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import override_settings
from django.urls import path

from queueproject.handler import Handler

pytestmark = pytest.mark.fast

used: list[tuple[str, int]] = []
let_go = threading.Event()


def _note(where: str) -> None:
    used.append((where, threading.get_ident()))


def at_once(request: HttpRequest) -> HttpResponse:
    _note("view")
    return HttpResponse(request.body)


def in_pieces(request: HttpRequest) -> StreamingHttpResponse:
    async def pieces() -> Any:
        yield b"one"
        _note("piece")
        yield b"two"

    return StreamingHttpResponse(pieces())


def broken(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("by design")


def held(request: HttpRequest) -> HttpResponse:
    _note("held")
    let_go.wait(10)
    return HttpResponse()


urlpatterns = [
    path("at-once", at_once),
    path("in-pieces", in_pieces),
    path("broken", broken),
    path("held", held),
]


@pytest.fixture(autouse=True)
def watched() -> Iterator[None]:
    used.clear()
    let_go.clear()

    def started(**_: Any) -> None:
        _note("started")

    def finished(**_: Any) -> None:
        _note("finished")

    request_started.connect(started)
    request_finished.connect(finished)
    with override_settings(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["here"]):
        yield
    request_started.disconnect(started)
    request_finished.disconnect(finished)


async def ask(handler: Handler, address: str, body: bytes = b"") -> tuple[int, bytes]:
    """Status and body of the answer."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": address, "query_string": b"", "headers": [(b"host", b"here")]}
    await handler(scope, receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])


async def test_a_request_stays_on_one_thread_from_its_first_signal_to_its_last() -> None:
    assert await ask(Handler(2), "/at-once", b"hello") == (200, b"hello")
    assert [where for where, _ in used] == ["started", "view", "finished"]
    assert len({thread for _, thread in used}) == 1
    assert used[0][1] != threading.get_ident()


async def test_an_answer_in_pieces_is_over_after_the_last_of_them() -> None:
    assert await ask(Handler(1), "/in-pieces") == (200, b"onetwo")
    assert [where for where, _ in used] == ["started", "piece", "finished"]


async def test_a_view_that_fails_fails_alone(caplog: pytest.LogCaptureFixture) -> None:
    handler = Handler(1)
    assert (await ask(handler, "/broken"))[0] == 500
    assert await ask(handler, "/at-once", b"still here") == (200, b"still here")


async def test_as_many_run_at_once_as_there_are_threads_and_the_others_wait() -> None:
    handler = Handler(2)
    asked = [asyncio.create_task(ask(handler, "/held")) for _ in range(4)]
    async with asyncio.timeout(10):
        while len(used) < 4:  # Two that have started, and two views that are held.
            await asyncio.sleep(0.01)
    assert sorted(where for where, _ in used) == ["held", "held", "started", "started"]
    let_go.set()
    assert [status for status, _ in await asyncio.gather(*asked)] == [200] * 4
    assert len({thread for where, thread in used if where == "held"}) == 2
