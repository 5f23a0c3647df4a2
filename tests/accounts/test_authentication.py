"""Who the HTTP API takes a caller for."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from accounts import tokens
from accounts.models import ApiToken

pytestmark = [pytest.mark.fast, pytest.mark.django_db, pytest.mark.urls("tests.hall.probe")]


@pytest.fixture
def ada() -> User:
    return User.objects.create_user("ada")


@pytest.fixture
def bob() -> User:
    return User.objects.create_user("bob")


def bearer(user: User, *scopes: str) -> dict[str, str]:
    _, raw = tokens.issue(user, "test", scopes)
    return {"Authorization": f"Bearer {raw}"}


def browser(user: User) -> Client:
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    return client


def test_a_token_calls_for_its_user(ada: User) -> None:
    response = Client(enforce_csrf_checks=True).post("/v1/play", headers=bearer(ada, "play"))
    assert response.json() == {"user": "ada"}


def test_a_token_beats_the_session_and_needs_no_csrf(ada: User, bob: User) -> None:
    assert browser(bob).post("/v1/play", headers=bearer(ada, "play")).json() == {"user": "ada"}


@pytest.mark.parametrize("header", ["Bearer qp_no_such", "Bearer", "", "Basic YWRhOmFkYQ==", "bearer \0", "Bearer é"])
def test_a_bad_header_is_not_saved_by_a_good_session(ada: User, header: str) -> None:
    response = browser(ada).get("/v1/read", headers={"Authorization": header})
    assert (response.status_code, response.json()["code"]) == (401, "unauthorized")
    assert response["WWW-Authenticate"] == "Bearer"


def test_a_token_is_good_for_its_scopes_only(ada: User) -> None:
    headers = bearer(ada, "read", "play")
    assert Client().get("/v1/read", headers=headers).status_code == 200
    assert Client().post("/v1/play", headers=headers).status_code == 200
    response = Client().post("/v1/decide", headers=headers)
    assert (response.status_code, response.json()) == (
        403,
        {"code": "forbidden", "detail": "the token lacks the scope 'decide'"},
    )


def test_a_revoked_token_is_refused_at_once(ada: User) -> None:
    headers = bearer(ada, "read")
    tokens.revoke(ApiToken.objects.get())
    assert Client().get("/v1/read", headers=headers).status_code == 401


def test_nobody_is_refused() -> None:
    for response in (Client().get("/v1/read"), Client().post("/v1/play")):
        assert (response.status_code, response.json()["code"]) == (401, "unauthorized")


def test_a_session_reads_without_and_changes_only_with_the_csrf_token(ada: User) -> None:
    client = browser(ada)
    assert client.get("/v1/read").json() == {"user": "ada"}
    refused = client.post("/v1/play")
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    client.cookies["csrftoken"] = "a" * 32
    assert client.post("/v1/play", headers={"X-CSRFToken": "a" * 32}).json() == {"user": "ada"}


def test_a_foreign_page_s_post_is_refused_even_with_the_csrf_token(ada: User) -> None:
    client = browser(ada)
    client.cookies["csrftoken"] = "a" * 32
    headers: dict[str, Any] = {"X-CSRFToken": "a" * 32, "Origin": "http://evil.example"}
    assert client.post("/v1/play", headers=headers).status_code == 403


def test_a_locked_out_user_s_session_ends(ada: User) -> None:
    client = browser(ada)
    User.objects.update(is_active=False)
    assert client.get("/v1/read").status_code == 401
