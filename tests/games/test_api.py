"""Games over HTTP: who sees and does what, what is answered, and what bad input meets."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from django.test import Client

from accounts.models import Scope
from games.models import Game, Membership
from jobs.models import Job
from jobs.models_events import JobEvent
from tests.cast import Cast
from tests.games.story import ask

pytestmark = pytest.mark.django_db(transaction=True)

GOLD = {"path": "party.gold", "op": "add", "value": 1}
SEEN = ("", "/turns")


def get(cast: Cast, name: str, path: str) -> Any:
    return Client().get(f"/v1/games{path}", headers=cast.bearer(getattr(cast, name)))


def post(cast: Cast, name: str, body: Any, *, game: Any = None, **headers: str) -> Any:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    path = f"/v1/games/{game or cast.game.pk}/actions"
    bearer = cast.bearer(getattr(cast, name))
    return Client().post(path, raw, content_type="application/json", headers=bearer | headers)


def refused(answer: Any, status: int, code: str) -> dict[str, Any]:
    """The body of a clear refusal."""
    body: dict[str, Any] = json.loads(answer.content)
    assert (answer.status_code, body["code"]) == (status, code), body
    assert body["detail"]
    return body


@pytest.mark.parametrize("path", SEEN)
@pytest.mark.parametrize(
    ("name", "status"), [("player1", 200), ("dm", 200), ("dm2", 200), ("stranger", 404), ("admin", 404)]
)
def test_members_see_a_game_and_for_others_there_is_none(cast: Cast, name: str, path: str, status: int) -> None:
    assert get(cast, name, f"/{cast.game.pk}{path}").status_code == status


@pytest.mark.parametrize(
    ("name", "changes", "status", "kind"),
    [
        ("player1", None, 200, "player_action"),
        ("player1", [GOLD], 403, None),
        ("dm", None, 200, "dm_action"),
        ("dm", [GOLD], 200, "dm_action"),
        ("stranger", None, 404, None),
        ("stranger", [GOLD], 404, None),
        ("admin", None, 404, None),
    ],
)
def test_members_act_by_their_role(
    cast: Cast, name: str, changes: list[Any] | None, status: int, kind: str | None
) -> None:
    answer = post(cast, name, {"text": "So be it.", "changes": changes})
    assert answer.status_code == status
    assert list(Job.objects.values_list("type", flat=True)) == ([kind] if kind else [])


def test_a_dm_of_one_game_is_a_stranger_in_another(cast: Cast) -> None:
    assert get(cast, "dm2", f"/{cast.other.pk}").status_code == 404
    refused(post(cast, "dm2", {"text": "Hello"}, game=cast.other.pk), 404, "not_found")


def test_without_a_token_or_a_session_nothing_is_answered(cast: Cast) -> None:
    for path in ("", f"/{cast.game.pk}", f"/{cast.game.pk}/turns"):
        refused(Client().get(f"/v1/games{path}"), 401, "unauthorized")
    answer = Client().post(f"/v1/games/{cast.game.pk}/actions", {"text": "x"}, content_type="application/json")
    refused(answer, 401, "unauthorized")


def test_a_token_does_only_what_it_was_made_for(cast: Cast) -> None:
    path, body = f"/v1/games/{cast.game.pk}", {"text": "Hello"}
    read, play = (cast.bearer(cast.player1, [scope]) for scope in (Scope.READ, Scope.PLAY))
    assert Client().get(path, headers=read).status_code == 200
    refused(Client().get(path, headers=play), 403, "forbidden")
    refused(Client().post(f"{path}/actions", body, content_type="application/json", headers=read), 403, "forbidden")
    assert Client().post(f"{path}/actions", body, content_type="application/json", headers=play).status_code == 200


def test_a_session_needs_the_csrf_token(cast: Cast) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(cast.player1)
    path = f"/v1/games/{cast.game.pk}/actions"
    refused(client.post(path, {"text": "Hello"}, content_type="application/json"), 403, "forbidden")
    client.get(f"/play/{cast.game.pk}/")
    headers = {"X-CSRFToken": client.cookies["csrftoken"].value}
    assert client.post(path, {"text": "Hello"}, content_type="application/json", headers=headers).status_code == 200


def test_an_action_is_answered_with_its_place_in_line(cast: Cast) -> None:
    first, second = (post(cast, "player1", {"text": "Hello"}).json() for _ in range(2))
    job = Job.objects.first()
    assert first == {"request_id": str(job and job.public_id), "status": "queued", "position": 0}
    assert (second["status"], second["position"]) == ("queued", 1)


def test_an_action_sent_twice_under_one_key_is_one(cast: Cast) -> None:
    first, again = (post(cast, "player1", {"text": "Hello"}, **{"Idempotency-Key": "a"}).json() for _ in range(2))
    assert first == again
    refused(post(cast, "player1", {"text": "Bye"}, **{"Idempotency-Key": "a"}), 409, "idempotency_mismatch")
    assert Job.objects.count() == 1


BAD: list[tuple[Any, int, str, str | None]] = [
    (b"", 422, "invalid", None),
    (b"{", 400, "malformed_json", None),
    (b"\xff\xfe", 400, "malformed_json", None),
    (b'{"text": NaN}', 400, "malformed_json", None),
    (b"[" * 50_000, 400, "malformed_json", None),
    (b'"text"', 422, "invalid", None),
    ([], 422, "invalid", None),
    ({}, 422, "invalid", "text"),
    ({"text": None}, 422, "invalid", "text"),
    ({"text": 5}, 422, "invalid", "text"),
    ({"text": ["a"]}, 422, "invalid", "text"),
    ({"text": ""}, 422, "invalid", "text"),
    ({"text": " \n"}, 422, "invalid", "text"),
    ({"text": "x" * 100_000}, 422, "invalid", "text"),
    ({"text": "a\0b"}, 422, "invalid", "text"),
    ({"text": "a\ud800b"}, 422, "invalid", "text"),
    ({"text": "a\x07b"}, 422, "invalid", "text"),
    ({"text": "Hm", "changes": "gold"}, 422, "invalid", "changes"),
    ({"text": "Hm", "changes": {"path": "a"}}, 422, "invalid", "changes"),
    ({"text": "Hm", "changes": [1]}, 422, "invalid", "changes.0"),
    ({"text": "Hm", "changes": [{"path": "a b", "op": "set", "value": 1}]}, 422, "invalid", "changes.0.path"),
    ({"text": "Hm", "changes": [{"path": "a", "op": "set", "value": "\0"}]}, 422, "invalid", "changes.0.value"),
    ({"text": "Hm", "change": []}, 422, "invalid", "change"),
]


@pytest.mark.parametrize(("body", "status", "code", "path"), BAD, ids=lambda value: str(value)[:40])
def test_bad_input_gets_a_clear_error_and_leaves_nothing(
    cast: Cast, body: Any, status: int, code: str, path: str | None
) -> None:
    fields = refused(post(cast, "dm", body), status, code).get("fields", {})
    assert path is None or list(fields) == [path]
    assert not Job.objects.exists()
    assert not JobEvent.objects.exists()


def test_an_idempotency_key_that_is_too_long_is_refused(cast: Cast) -> None:
    body = refused(post(cast, "player1", {"text": "Hello"}, **{"Idempotency-Key": "k" * 201}), 422, "invalid")
    assert list(body["fields"]) == ["idempotency_key"]


@pytest.mark.parametrize("game", [UUID(int=1), "nonsense", "0", "..%2f", "%00", "a" * 300])
def test_an_unknown_or_malformed_game_is_not_found(cast: Cast, game: Any) -> None:
    refused(get(cast, "player1", f"/{game}"), 404, "not_found")
    refused(post(cast, "player1", {"text": "Hello"}, game=game), 404, "not_found")


def test_the_wrong_method_is_said_to_be_wrong(cast: Cast) -> None:
    answer = Client().get(f"/v1/games/{cast.game.pk}/actions", headers=cast.bearer(cast.player1))
    refused(answer, 405, "method_not_allowed")


def test_the_callers_games_are_listed_with_their_roles(cast: Cast) -> None:
    assert get(cast, "dm2", "").json() == {
        "items": [{"id": str(cast.game.pk), "name": "The Cellar", "role": "dm", "turn": 0}],
        "next": None,
    }
    assert [item["role"] for item in get(cast, "player1", "").json()["items"]] == ["player", "player"]
    assert get(cast, "stranger", "").json() == {"items": [], "next": None}


def test_games_come_by_page_in_the_order_of_their_names(cast: Cast) -> None:
    for name in ("Zoo", "Alley", "The Tower", "Zoo"):
        Membership.objects.create(game=Game.objects.create(name=name), user=cast.player1)
    seen: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        page = get(cast, "player1", f"?limit=2&cursor={cursor}").json()
        seen += page["items"]
        cursor = page["next"]
    assert [item["name"] for item in seen] == ["Alley", "The Cellar", "The Tower", "The Tower", "Zoo", "Zoo"]
    assert len({item["id"] for item in seen}) == 6


@pytest.mark.parametrize("query", ["cursor=x", "cursor=eA==", "cursor=%00", "limit=0", "limit=201", "limit=x"])
def test_a_page_of_games_that_cannot_be_is_refused(cast: Cast, query: str) -> None:
    refused(get(cast, "player1", f"?{query}"), 422, "invalid")


def test_a_game_is_told_with_the_number_of_the_last_event_it_knows_of(cast: Cast) -> None:
    assert get(cast, "player1", f"/{cast.game.pk}").json()["cursor"] == 0
    ask(cast.dm, cast.game, "It rains.", changes=[GOLD])
    game = get(cast, "player1", f"/{cast.game.pk}").json()
    assert (game["cursor"], game["turn"], game["state_version"]) == (4, 1, 2)
    assert game["state"]["party"]["gold"] == 13
    assert game["role"] == "player"
    assert game["dm_online"] is False
    assert game["decisions"] == {
        "ask": True, "seconds": 600, "default": "reject", "default_reason": "no decision in time", "undo_seconds": 0,
    }  # fmt: skip


def test_turns_are_told_page_by_page(cast: Cast) -> None:
    for text in ("One.", "Two.", "Three."):
        job = ask(cast.dm, cast.game, text)
    path = f"/{cast.game.pk}/turns"
    first = get(cast, "player1", f"{path}?limit=2").json()
    assert [turn["narration"] for turn in first["items"]] == ["One.", "Two."]
    assert (first["next"], first["cursor"]) == (2, 12)
    rest = get(cast, "player1", f"{path}?limit=2&after={first['next']}").json()
    assert rest["next"] is None
    (turn,) = rest["items"]
    assert turn.pop("at")
    assert turn == {
        "number": 3, "kind": "dm_action", "actor": "dm", "action": "", "narration": "Three.", "changes": [],
        "request_id": str(job.public_id),
    }  # fmt: skip


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=x", "after=-1", "after=99999999999", "after=%00"])
def test_a_page_that_cannot_be_is_refused(cast: Cast, query: str) -> None:
    body = refused(get(cast, "player1", f"/{cast.game.pk}/turns?{query}"), 422, "invalid")
    assert list(body["fields"]) == [query.partition("=")[0]]


def test_an_action_costs_few_queries(cast: Cast, django_assert_max_num_queries: Callable[..., Any]) -> None:
    post(cast, "player1", {"text": "Hello"})
    headers = cast.bearer(cast.player1)
    path = f"/v1/games/{cast.game.pk}/actions"
    with django_assert_max_num_queries(17):
        Client().post(path, {"text": "Hello"}, content_type="application/json", headers=headers)
