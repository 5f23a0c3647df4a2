"""Web, worker and scheduler as one process, without Redis."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from django.core.management import CommandError, call_command

from accounts import tokens
from accounts.models import Scope
from games.models import Decisions, Game
from jobs import checks
from jobs.models import Job
from jobs.states import Status
from queueproject.testing.streams import EventStream
from tests.cast import Cast, assemble
from tests.processes import Stack, answers
from tests.waiting import wait_until

NO_LUCK = "3600"
"""Nothing is found by asking once in a while: what arrives was told."""


@pytest.fixture
def cast(transactional_db: None) -> Cast:
    cast = assemble()
    Game.objects.update(decisions=Decisions.NEVER)
    return cast


@pytest.fixture
def serve(stack: Stack) -> Callable[..., str]:
    """``serve(…)`` starts the one process, with settings; its address."""

    def start(**environment: str) -> str:
        stack.start("serve", QUEUE_TRANSPORT="memory", REDIS_URL="unix:///nowhere/redis.sock", **environment)
        url = f"http://127.0.0.1:{stack.port_of('serve')}"
        wait_until(lambda: answers(f"{url}/readyz"), timeout=90, what="serve is ready")
        return url

    return start


def ask(url: str, cast: Cast) -> str:
    """Something said over HTTP; its request's id."""
    body = {"message": "Is anybody there?", "game_id": str(cast.game.pk)}
    answer = httpx.post(f"{url}/v1/chat", json=body, headers=cast.bearer(cast.player1))
    assert answer.is_success, answer.text
    return str(answer.json()["request_id"])


@pytest.mark.integration
def test_what_is_asked_for_runs_and_is_told_at_once(
    serve: Callable[..., str], cast: Cast, event_stream: Callable[..., EventStream]
) -> None:
    url = serve(POLL_SECONDS=NO_LUCK, FOLLOW_SECONDS=NO_LUCK)
    token = tokens.issue(cast.player1, "test", Scope.values)[1]
    stream = event_stream(f"{url}/v1/events/games/{cast.game.pk}", token, cursor=0)
    stream.wait_until_open()
    assert httpx.get(f"{url}/readyz").json()["checks"].keys() == {"database", "migrations", "worker", "scheduler"}
    request = ask(url, cast)
    stream.wait_for("chat.chunk", request_id=request)
    assert stream.wait_for("request.completed", request_id=request)
    assert stream.ids == list(range(1, len(stream.ids) + 1))


@pytest.mark.integration
def test_what_ran_when_it_was_killed_goes_on_when_it_is_back(
    serve: Callable[..., str], stack: Stack, cast: Cast
) -> None:
    url = serve(SCRIPTED_SECONDS="60")
    request = ask(url, cast)
    wait_until(lambda: Job.objects.filter(type="llm_reason", status=Status.RUNNING).exists())
    stack.kill9("serve")
    serve(SCRIPTED_SECONDS="0")
    wait_until(lambda: Job.objects.get(public_id=request).status == Status.COMPLETED)
    assert stack.stop("serve") == 0


@pytest.mark.integration
def test_a_second_one_on_the_same_port_says_so(serve: Callable[..., str], stack: Stack, cast: Cast) -> None:
    serve()
    port = str(stack.port_of("serve"))
    stack.start("serve.2", arguments=["--port", port])
    assert stack.wait("serve.2") == 1
    assert f"can't listen on 127.0.0.1:{port}" in stack.log("serve.2")


@pytest.mark.django_db
@pytest.mark.parametrize("command", ["worker", "scheduler"])
def test_a_process_that_would_hear_nothing_does_not_start(command: str, config: Callable[..., None]) -> None:
    config(queue_transport="memory")
    with pytest.raises(CommandError, match=r"manage\.py serve"):
        call_command(command)


def test_with_redis_there_is_nothing_to_serve_alone() -> None:
    with pytest.raises(CommandError, match="QUEUE_TRANSPORT=memory"):
        call_command("serve")


def test_outside_development_a_transport_for_one_process_is_warned_of(config: Callable[..., Any]) -> None:
    assert checks.one_process_is_enough() == []
    config(debug=False, queue_transport="memory", redis_url=os.environ["REDIS_URL"])
    assert [warning.id for warning in checks.one_process_is_enough()] == ["jobs.W005"]
    assert checks.redis_has_a_password() == []
