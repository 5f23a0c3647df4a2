"""The decision queue over HTTP: what it answers, to whom, and how it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.test import Client

from accounts import tokens
from approvals.models import Approval
from approvals.operations import decide
from jobs.models import Job
from jobs.testing import run_until_idle
from tests.approvals.conftest import Cast
from tests.approvals.tables import approval_of, history, result, unknown_id

pytestmark = pytest.mark.django_db(transaction=True)

Say = Callable[..., Job]
ACCEPT = {"version": 1, "decision": "accept"}


class Api:
    """A program with a user's token."""

    def __init__(self, user: User, *scopes: str) -> None:
        _, raw = tokens.issue(user, "test", scopes or ("decide",))
        self.client = Client(headers={"Authorization": f"Bearer {raw}"})

    def get(self, path: str = "", **query: Any) -> Any:
        return self.client.get(f"/v1/approvals{path}", query)

    def decide(self, approval_id: object, body: object) -> Any:
        text = body if isinstance(body, str) else json.dumps(body)
        return self.client.post(f"/v1/approvals/{approval_id}/decide", text, content_type="application/json")


@pytest.fixture
def dm(cast: Cast) -> Api:
    return Api(cast.dm)


def fields(response: HttpResponse) -> set[str]:
    return set(json.loads(response.content).get("fields", {}))


def test_what_is_pending_is_listed(dm: Api, approval: Approval) -> None:
    assert dm.get(status="pending").json() == {
        "items": [
            {
                "id": str(approval.pk),
                "version": 1,
                "kind": "talk",
                "game_id": "one",
                "request_id": str(approval.request),
                "text": "The door creaks open.",
                "changes": [{"path": "door", "op": "set", "value": "open", "was": "shut"}],
                "due_at": f"{approval.due_at:%Y-%m-%dT%H:%M:%S}.{approval.due_at.microsecond // 1000:03}Z",
            }
        ],
        "next": None,
    }


def test_the_most_urgent_comes_first_page_by_page(dm: Api, say: Say) -> None:
    made = [approval_of(say()) for _ in range(5)]
    for minutes, approval in zip((5, 3, 3, 9, 1), made, strict=True):
        Approval.objects.filter(pk=approval.pk).update(due_at=f"2030-01-01T00:0{minutes}:00Z")
    in_order = [str(made[n].pk) for n in (4, 1, 2, 0, 3)]
    seen: list[str] = []
    page = dm.get(limit=2).json()
    while True:
        seen += [item["id"] for item in page["items"]]
        if page["next"] is None:
            break
        page = dm.get(limit=2, cursor=page["next"]).json()
    assert seen == in_order


def test_what_is_over_is_listed_newest_first(dm: Api, say: Say, cast: Cast) -> None:
    made = [approval_of(say()) for _ in range(3)]
    for approval in made:
        decide(user=cast.dm, approval_id=approval.pk, version=1, decision="accept")
    assert dm.get().json()["items"] == []
    first = dm.get(status="settled", limit=2).json()
    rest = dm.get(status="settled", limit=2, cursor=first["next"]).json()
    assert [item["id"] for item in first["items"] + rest["items"]] == [str(approval.pk) for approval in made[::-1]]
    assert rest["next"] is None


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"status": "done"}, "status"),
        ({"limit": 0}, "limit"),
        ({"limit": 101}, "limit"),
        ({"limit": "x"}, "limit"),
        ({"cursor": "x"}, "cursor"),
        ({"cursor": "ÿ\x00"}, "cursor"),
        ({"cursor": "MjAzMC0wMS0wMQ=="}, "cursor"),
        ({"cursor": "MjAzMC0wMS0wMSAwMTkwMDAwMC0wMDAwLTcwMDAtODAwMC0wMDAwMDAwMDAwMDA="}, "cursor"),
    ],
)
def test_a_wrong_question_is_answered_with_its_mistake(dm: Api, query: dict[str, Any], field: str) -> None:
    response = dm.get(**query)
    assert (response.status_code, response.json()["code"], fields(response)) == (422, "invalid", {field})


def test_a_decision_is_taken(dm: Api, approval: Approval) -> None:
    said = {"version": 1, "decision": "modify", "text": "Shut.", "changes": [{"path": "a", "op": "set", "value": [1]}]}
    response = dm.decide(approval.pk, said)
    assert (response.status_code, response.json()) == (
        200,
        {"id": str(approval.pk), "version": 1, "decision": "modify", "status": "settled"},
    )
    assert result(approval) == {"text": "Shut.", "changes": ["a"], "by": "dm"}


def test_a_redraft_is_asked_for_with_a_null_for_all_else(dm: Api, approval: Approval) -> None:
    said = {"version": 1, "decision": "reject", "text": None, "changes": None, "reason": None, "regenerate": True}
    assert dm.decide(approval.pk, said).json()["status"] == "drafting"


def test_who_is_late_gets_409_with_who_decided_what(dm: Api, approval: Approval, cast: Cast) -> None:
    Api(cast.dm2).decide(approval.pk, {"version": 1, "decision": "reject", "reason": "no"})
    response = dm.decide(approval.pk, ACCEPT)
    assert response.status_code == 409
    assert response.json() == {
        "code": "already_decided",
        "detail": "version 1 was rejected by dm2",
        "by": "dm2",
        "decision": "reject",
        "version": 1,
    }


def test_one_approval_is_told_with_its_history(dm: Api, approval: Approval, cast: Cast) -> None:
    dm.decide(approval.pk, {"version": 1, "decision": "reject", "reason": "darker", "regenerate": True})
    run_until_idle()
    told = dm.get(f"/{approval.pk}").json()
    assert (told["status"], told["version"], told["player"], told["action"]) == (
        "pending",
        2,
        "player",
        "I open the door",
    )
    assert [(version["number"], version["reason"]) for version in told["versions"]] == [(1, "draft"), (2, "regenerate")]
    assert told["versions"][0]["candidates"][0]["text"] == "The door creaks open."
    assert [(entry["by"], entry["reason"], entry["regenerate"]) for entry in told["decisions"]] == [
        ("dm", "darker", True)
    ]


@pytest.mark.parametrize(
    ("who", "status"),
    [("dm", 200), ("dm2", 200), ("player", 403), ("other_dm", 404), ("stranger", 404)],
)
def test_rights_of_everyone(approval: Approval, cast: Cast, who: str, status: int) -> None:
    api = Api(getattr(cast, who))
    assert api.get(f"/{approval.pk}").status_code == status
    assert [item["id"] for item in api.get().json()["items"]] == ([str(approval.pk)] if status == 200 else [])
    response = api.decide(approval.pk, ACCEPT)
    assert response.status_code == status
    if status != 200:
        assert response.json()["code"] == {403: "forbidden", 404: "not_found"}[status]
        assert history(approval) == []


def test_a_superuser_decides_nowhere_by_being_one(approval: Approval) -> None:
    admin = Api(User.objects.create_superuser("admin"))
    assert admin.decide(approval.pk, ACCEPT).status_code == 404


def test_a_token_needs_the_scope(approval: Approval, cast: Cast) -> None:
    reader = Api(cast.dm, "read", "play")
    for response in (reader.get(), reader.get(f"/{approval.pk}"), reader.decide(approval.pk, ACCEPT)):
        assert (response.status_code, response.json()["code"]) == (403, "forbidden")


def test_nobody_is_let_in_without_a_token_or_session(approval: Approval, cast: Cast) -> None:
    client = Client(enforce_csrf_checks=True)
    url = f"/v1/approvals/{approval.pk}/decide"
    assert client.post(url, ACCEPT, content_type="application/json").status_code == 401
    client.force_login(cast.dm)
    assert client.post(url, ACCEPT, content_type="application/json").status_code == 403
    assert Client().get("/v1/approvals").status_code == 401


def test_a_session_decides_too(approval: Approval, cast: Cast) -> None:
    client = Client()
    client.force_login(cast.dm)
    response = client.post(f"/v1/approvals/{approval.pk}/decide", ACCEPT, content_type="application/json")
    assert response.status_code == 200
    assert history(approval) == [(1, "decide", "accept", "dm")]


@pytest.mark.parametrize("approval_id", ["1", "nothing", "0190", unknown_id(), "%00"])
def test_what_is_not_there_is_404(dm: Api, approval_id: object) -> None:
    for response in (dm.get(f"/{approval_id}"), dm.decide(approval_id, ACCEPT)):
        assert (response.status_code, response.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("body", "status", "mistakes"),
    [
        ("{", 400, set()),
        ("", 422, {"body"}),
        ("[]", 422, None),
        ("null", 422, None),
        ({}, 422, {"version", "decision"}),
        ({"version": "1", "decision": "accept"}, 422, {"version"}),
        ({"version": 1.5, "decision": "accept"}, 422, {"version"}),
        ({"version": True, "decision": "accept"}, 422, {"version"}),
        ({"version": 0, "decision": "accept"}, 422, {"version"}),
        ({"version": 10**30, "decision": "accept"}, 422, {"version"}),
        ({"version": 1, "decision": "agree"}, 422, {"decision"}),
        ({"version": 1, "decision": "reject", "reason": 7}, 422, {"reason"}),
        ({"version": 1, "decision": "reject", "reason": "x", "regenerate": "yes"}, 422, {"regenerate"}),
        ({"version": 1, "decision": "accept", "sure": True}, 422, {"sure"}),
        ({"version": 1, "decision": "modify", "text": "a\0b"}, 422, {"text"}),
        ({"version": 1, "decision": "modify", "text": "x" * 100_000}, 422, {"text"}),
        ({"version": 1, "decision": "modify", "text": "x", "changes": {}}, 422, {"changes"}),
        ({"version": 1, "decision": "modify", "text": "x", "changes": [{"op": "set"}]}, 422, {"changes.0.path"}),
        (
            {"version": 1, "decision": "modify", "text": "x", "changes": [{"path": "a", "op": "remove"}] * 51},
            422,
            {"changes"},
        ),
    ],
)
def test_bad_input_is_named_and_nothing_happens(
    dm: Api, approval: Approval, body: object, status: int, mistakes: set[str] | None
) -> None:
    response = dm.decide(approval.pk, body)
    assert response.status_code == status, response.content
    assert response.json()["code"] == ("malformed_json" if status == 400 else "invalid")
    if mistakes is not None:
        assert fields(response) == mistakes
    assert history(approval) == []
