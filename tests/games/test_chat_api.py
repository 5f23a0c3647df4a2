"""Chat over HTTP: what is taken, what is refused, and that it is answered before anything is done."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import Scope
from games import operations
from jobs import queue_settings
from jobs.errors import Refused
from jobs.models import Job
from jobs.models_metrics import QueueSettings
from jobs.operations import requests
from tests.cast import Cast

pytestmark = pytest.mark.django_db(transaction=True)

MOST_STATEMENTS = 7 if connection.vendor == "postgresql" else 9


def chat(cast: Cast, name: str, body: Any, scopes: Any = Scope.values, **headers: str) -> Any:
    raw = body if isinstance(body, bytes) else json.dumps(body, default=str).encode()
    bearer = cast.bearer(getattr(cast, name), scopes)
    return Client().post("/v1/chat", raw, content_type="application/json", headers=bearer | headers)


@pytest.mark.parametrize("name", ["game_state_id", "game_id"])
def test_a_message_is_taken_and_answered_at_once(cast: Cast, name: str) -> None:
    answer = chat(cast, "player1", {"message": "Who is there?", name: cast.game.pk})
    job = Job.objects.get()
    assert (answer.status_code, answer.json()) == (200, {"request_id": str(job.public_id), "status": "queued"})
    assert (job.type, job.payload["text"], job.owner) == ("chat", "Who is there?", cast.player1)


def test_both_names_of_one_game_are_fine_and_of_two_are_not(cast: Cast) -> None:
    both = {"message": "Hello", "game_id": cast.game.pk, "game_state_id": cast.game.pk}
    assert chat(cast, "player1", both).status_code == 200
    answer = chat(cast, "player1", both | {"game_id": cast.other.pk})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert Job.objects.count() == 1


@pytest.mark.parametrize(
    ("body", "status", "code", "field"),
    [
        (b"{", 400, "malformed_json", None),
        ({"message": "Hello"}, 422, "invalid", None),
        ({"game_id": "GAME"}, 422, "invalid", "message"),
        ({"message": "", "game_id": "GAME"}, 422, "invalid", "message"),
        ({"message": "x" * 4001, "game_id": "GAME"}, 422, "invalid", "message"),
        ({"message": "a\u0000b", "game_id": "GAME"}, 422, "invalid", "message"),
        ({"message": "bell\u0007", "game_id": "GAME"}, 422, "invalid", "message"),
        ({"message": 7, "game_id": "GAME"}, 422, "invalid", "message"),
        ({"message": "Hello", "game_id": "GAME", "stream": True}, 422, "invalid", "stream"),
        ({"message": "Hello", "game_id": "nowhere"}, 422, "invalid", "game_id"),
        ({"message": "Hello", "game_id": "0199c0de-0000-7000-8000-000000000000"}, 404, "not_found", None),
        ([], 422, "invalid", None),
    ],
)
def test_what_is_wrong_is_said_where_it_is(cast: Cast, body: Any, status: int, code: str, field: str | None) -> None:
    if isinstance(body, dict) and body.get("game_id") == "GAME":
        body = body | {"game_id": cast.game.pk}
    answer = chat(cast, "player1", body)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.content
    assert field is None or field in answer.json()["fields"]
    assert not Job.objects.exists()


@pytest.mark.parametrize(("name", "scopes", "status"), [("stranger", Scope.values, 404), ("player1", ["read"], 403)])
def test_members_with_the_right_token_chat(cast: Cast, name: str, scopes: Any, status: int) -> None:
    answer = chat(cast, name, {"message": "Hello", "game_id": cast.game.pk}, scopes)
    assert answer.status_code == status


def test_a_message_sent_twice_under_one_key_is_one(cast: Cast) -> None:
    body = {"message": "Hello", "game_id": cast.game.pk}
    first, again = (chat(cast, "player1", body, **{"Idempotency-Key": "a"}).json() for _ in range(2))
    assert first == again
    other = chat(cast, "player1", body | {"message": "Bye"}, **{"Idempotency-Key": "a"})
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_mismatch")
    assert Job.objects.count() == 1


def test_a_message_costs_so_many_statements(cast: Cast) -> None:
    headers = cast.bearer(cast.player1)
    body = {"message": "Hello", "game_id": str(cast.game.pk)}

    def post() -> int:
        answer = Client().post("/v1/chat", body, content_type="application/json", headers=headers)
        return answer.status_code

    assert post() == 200
    with CaptureQueriesContext(connection) as captured:
        assert post() == 200
    statements = [query["sql"] for query in captured if not query["sql"].startswith(("BEGIN", "COMMIT", "SAVE", "REL"))]
    assert len(statements) <= MOST_STATEMENTS, "\n".join(statements)


@pytest.fixture
def one_waiting() -> Iterator[None]:
    """Nobody may have more than one request waiting."""
    QueueSettings.objects.create(queue="player_actions", waiting_per_user=1)
    queue_settings.forget()
    yield
    queue_settings.forget()


@pytest.mark.usefixtures("one_waiting")
def test_a_players_retry_is_let_in_like_a_new_request_and_an_operators_always(cast: Cast) -> None:
    def post(name: str, verb: str) -> int:
        headers = cast.bearer(getattr(cast, name))
        path = f"/v1/requests/{first.public_id}/{verb}"
        return Client().post(path, b"", content_type="application/json", headers=headers).status_code

    body = {"message": "Hello", "game_id": cast.game.pk}
    assert chat(cast, "player1", body).status_code == 200
    first = Job.objects.get()
    assert post("player1", "cancel") == 200
    assert chat(cast, "player1", body).status_code == 200
    assert [post("player1", "retry"), post("dm", "retry")] == [429, 429]
    first.refresh_from_db()
    assert (first.request_status, first.run) == ("cancelled", 1)
    assert post("admin", "retry") == 200


def test_retries_use_the_rate_up(cast: Cast) -> None:
    QueueSettings.objects.update_or_create(queue="player_actions", defaults={"rate_per_user": "2/hour"})
    queue_settings.forget()
    job = operations.chat(user=cast.player1, game=cast.game, text="Hello")
    for _ in range(2):
        requests.cancel(user=cast.player1, request_id=job.public_id)
        with suppress(Refused):
            requests.retry(user=cast.player1, request_id=job.public_id)
    job.refresh_from_db()
    assert (job.request_status, job.run) == ("cancelled", 2)
    queue_settings.forget()


@pytest.mark.usefixtures("one_waiting")
def test_a_full_line_is_told_with_when_to_come_back(cast: Cast) -> None:
    body = {"message": "Hello", "game_id": cast.game.pk}
    answers = [chat(cast, "player1", body) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 429]
    assert int(answers[1]["Retry-After"]) > 0
    assert answers[1].json()["detail"]
