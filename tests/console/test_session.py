"""When a request counts as silent."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from console.asked import Asked
from console.patience import Patience
from console.session import Session
from tests.console import far
from tests.console.far import Exchange, FarServer
from tests.console.playing import playing
from tests.waiting import await_until

PATIENCE = Patience(request_seconds=0.4, first_wait_seconds=0.05, poll_seconds=0.05)
OPEN = far.streams()


@pytest.fixture
def server() -> Iterator[FarServer]:
    with far.running() as server:
        yield server


def ask(server: FarServer, session: Session, status: str, request: str) -> Asked:
    """A request that stands so, here and there."""
    server.requests[request] = {"status": status}
    session.asked.append(Asked("chat", request, id=request, status=status))
    return session.asked[-1]


def event(name: str, *, of: str = "ours", status: str = "processing", **data: Any) -> bytes:
    body = {"request_id": of, "kind": "chat", "status": status, "at": "", "data": data}
    return f"event: {name}\ndata: {json.dumps(body)}\n\n".encode()


def chunk(index: int, content: str = "and ") -> bytes:
    return event("chat.chunk", attempt=1, index=index, content=content, done=False)


async def test_an_answer_that_is_being_written_is_not_silent(server: FarServer) -> None:
    patience = Patience(request_seconds=1.5, first_wait_seconds=0.05, poll_seconds=0.05)  # outlasts a machine's stall
    written = 0

    def writes(exchange: Exchange) -> None:
        nonlocal written
        exchange.begin()
        while not exchange.server.stopping.wait(0.05) and written < 40:
            exchange.wfile.write(chunk(written))
            written += 1
        exchange.server.stopping.wait(30)

    server.stream = writes
    async with playing(server, patience) as (heard, session, _):
        ask(server, session, "processing", "ours")
        await heard.says("nothing heard for")
        assert written == 40


@pytest.mark.parametrize("stream", [OPEN, far.refuses(405)])
async def test_people_may_take_their_time_as_long_as_the_server_is_there(server: FarServer, stream: Any) -> None:
    server.stream = stream
    async with playing(server, PATIENCE) as (heard, session, _):
        await heard.says("connected" if stream is OPEN else "asking")
        decided, _ = ask(server, session, "awaiting_approval", "decided"), ask(server, session, "queued", "other")
        await heard.says("nothing heard for")
        decided.heard_at = long_ago = time.monotonic() - 100

        async def is_heard_anew() -> bool:
            return decided.heard_at > long_ago

        await await_until(is_heard_anew, timeout=20)
        assert [notice.text[-13:] for notice in heard.notices if notice.kind == "error"] == ["queued: other"]
        server.stream = server.load = far.refuses(503)
        server.cut()
        await await_until(lambda: is_overdue(decided), timeout=20)


BLOCKED = {"request_id": "theirs", "player": "mara", "status": "awaiting_approval"}
BEHIND = {"status": "queued", "position": 1, "blocked_by": BLOCKED}


@pytest.mark.parametrize("stream", [OPEN, far.refuses(405)])
async def test_who_stands_behind_a_decision_on_anothers_request_is_told_so_and_goes_on_waiting(
    server: FarServer, stream: Any
) -> None:
    server.stream = stream
    async with playing(server, PATIENCE) as (heard, session, _):
        ours, other = ask(server, session, "queued", "ours"), ask(server, session, "processing", "other")
        server.requests["ours"] = BEHIND
        await heard.says("in line, 1 ahead, waiting for a decision on mara's request")
        await heard.says("nothing heard for")
        long_ago = ours.heard_at = time.monotonic() - 100
        await await_until(lambda: _async(ours.heard_at > long_ago), timeout=20)
        assert (ours.overdue, other.overdue) == (False, True)
        server.requests["ours"] = BEHIND | {"blocked_by": BLOCKED | {"status": "processing"}}
        await heard.says("in line, 1 ahead", times=2)
        await await_until(lambda: is_overdue(ours), timeout=20)


async def test_whom_it_stands_behind_is_asked_when_it_joins_the_line_and_when_a_person_is_asked(
    server: FarServer,
) -> None:
    server.stream = far.streams(event("request.queued", status="queued", position=1))
    async with playing(server, Patience(first_wait_seconds=0.05)) as (heard, session, _):
        ask(server, session, "sending", "ours")
        server.requests["ours"] = BEHIND
        await heard.says("in line, 1 ahead, waiting for a decision on mara's request")
        server.cut()
        server.requests["ours"] = BEHIND | {"blocked_by": BLOCKED | {"player": None}}
        server.stream = far.streams(event("approval.required", of="theirs", status="awaiting_approval"))
        await heard.says("in line, 1 ahead, waiting for a decision on another request")


async def test_a_request_that_the_server_has_no_more_is_said_to_be_gone_and_the_rest_goes_on(
    server: FarServer,
) -> None:
    server.stream = far.refuses(405)
    async with playing(server, PATIENCE) as (heard, session, task):
        gone = ask(server, session, "processing", "gone")
        del server.requests["gone"]
        await heard.says("the server knows nothing of it any more: gone")
        assert gone.status == "failed"
        server.tell("The bell rings.")
        await heard.says("The bell rings.")
        assert not task.done()


async def _async(value: bool) -> bool:
    return value


async def is_overdue(asked: Asked) -> bool:
    return asked.overdue
