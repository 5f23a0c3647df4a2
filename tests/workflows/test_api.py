"""Workflows over HTTP: the list, the start, the confirmation, and what bad input meets."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from accounts.models import Scope
from jobs.models import Job
from jobs.testing import run_until_idle
from tests.cast import Cast
from tests.workflows import kinds

pytestmark = pytest.mark.django_db(transaction=True)


def get(cast: Cast, name: str, path: str) -> Any:
    return Client().get(f"/v1{path}", headers=cast.bearer(getattr(cast, name)))


def post(cast: Cast, name: str, path: str, body: Any, scopes: Any = Scope.values, **headers: str) -> Any:
    bearer = cast.bearer(getattr(cast, name), scopes)
    return Client().post(f"/v1{path}", json.dumps(body), content_type="application/json", headers=bearer | headers)


def begun(cast: Cast, name: str = "player1", kind: str = kinds.FIVE.name, **body: Any) -> str:
    answer = post(cast, name, f"/workflows/{kind}", body)
    assert answer.status_code == 200, answer.content
    run_until_idle()
    return str(answer.json()["request_id"])


def test_workflows_are_listed_with_their_steps_and_payload(cast: Cast) -> None:
    items = {item["name"]: item for item in get(cast, "player1", "/workflows").json()["items"]}
    five = items["test_five"]
    assert [(step["index"], step["name"], step["weight"]) for step in five["steps"]][:2] == [
        (1, "read", 1.0),
        (2, "fetch", 2.0),
    ]
    assert set(five["payload"]["properties"]) == {"automation", "text", "fail"}
    assert [step["confirmed_by"] for step in items["test_card"]["steps"]] == ["card"]


def test_a_workflow_is_started_watched_and_confirmed(cast: Cast) -> None:
    request_id = begun(cast, payload={"text": "a"})
    found = get(cast, "player1", f"/requests/{request_id}").json()
    assert found["status"] == "processing"
    workflow = found["workflow"]
    assert workflow["percentage"] == 40
    assert [step["state"] for step in workflow["steps"]] == ["completed"] * 3 + ["running", "to_come"]
    assert workflow["confirmation"]["step"] == "check"
    answer = post(cast, "player1", f"/requests/{request_id}/confirm", {"text": "done", "step": "check", "version": 1})
    assert (answer.status_code, answer.json()["state"]) == (200, "confirmed")
    run_until_idle()
    found = get(cast, "player1", f"/requests/{request_id}").json()
    assert (found["status"], found["result"], found["workflow"]["percentage"]) == ("completed", "A", 100)


def test_the_same_key_starts_one_request(cast: Cast) -> None:
    path, body = "/workflows/test_five", {"payload": {"text": "a"}}
    ids = {post(cast, "player1", path, body, **{"Idempotency-Key": "k"}).json()["request_id"] for _ in range(2)}
    assert len(ids) == 1
    other = post(cast, "player1", path, {"payload": {"text": "b"}}, **{"Idempotency-Key": "k"})
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_mismatch")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"payload": {"text": 7}}, "text"),
        ({"payload": {"colour": "red"}}, "colour"),
        ({"automation": "some"}, "automation"),
        ({"colour": 1}, "colour"),
        ({"scope": "game:1"}, "scope"),
    ],
)
def test_bad_input_is_told_by_its_path(cast: Cast, body: dict[str, Any], field: str) -> None:
    answer = post(cast, "player1", "/workflows/test_five", body)
    assert answer.status_code == 422
    assert field in str(answer.json()["fields"])
    assert not Job.objects.exists()


def test_strangers_tokens_and_unknown_names_are_refused(cast: Cast) -> None:
    assert post(cast, "player1", "/workflows/nothing", {}).status_code == 404
    assert post(cast, "player1", "/workflows/test_part", {}).status_code == 404
    assert post(cast, "player1", "/workflows/test_five", {}, ["read"]).status_code == 403
    game = cast.game.scope_key
    assert post(cast, "stranger", "/workflows/test_card", {"scope": game}).status_code == 404
    assert post(cast, "player1", "/workflows/test_card", {"scope": game}).status_code == 403
    request_id = begun(cast)
    for name in ("stranger", "player2"):
        assert get(cast, name, f"/requests/{request_id}").status_code == 404
        assert post(cast, name, f"/requests/{request_id}/confirm", {"text": "done"}).status_code == 404
    assert post(cast, "player1", "/requests/nonsense/confirm", {}).status_code == 404
    stale = post(cast, "player1", f"/requests/{request_id}/confirm", {"step": "write", "version": 1})
    assert (stale.status_code, stale.json()["code"]) == (409, "stale_confirmation")
    wrong = post(cast, "player1", f"/requests/{request_id}/confirm", {"version": 0})
    assert wrong.status_code == 422
