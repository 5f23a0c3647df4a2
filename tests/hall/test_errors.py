"""Every error of the API is JSON with a code, says no more than it should, and is never a 500 by the caller's doing."""

import json
from typing import Any

import pytest
from django.test import Client

pytestmark = [pytest.mark.fast, pytest.mark.urls("tests.hall.probe")]


def post(body: bytes | str, path: str = "/v1/echo") -> tuple[int, dict[str, Any]]:
    response = Client().post(path, data=body, content_type="application/json")
    return response.status_code, json.loads(response.content)


@pytest.mark.parametrize(
    ("name", "status", "body"),
    [
        ("not_found", 404, {"code": "not_found", "detail": "no such game"}),
        ("taken", 409, {"code": "already_decided", "detail": "too late", "by": "dm", "version": 2}),
        ("invalid", 422, {"code": "invalid", "detail": "wrong", "fields": {"text": "is empty"}}),
        ("refused", 429, {"code": "refused", "detail": "too many", "retry_after": 1.2}),
        ("denied", 403, {"code": "forbidden", "detail": "not yours"}),
        ("missing", 404, {"code": "not_found", "detail": "there is nothing here"}),
        ("database", 503, {"code": "unavailable", "detail": "the database can't be reached; try again soon"}),
        ("bug", 500, {"code": "internal", "detail": "something went wrong on our side; it was logged"}),
    ],
)
def test_an_error_is_told_in_json(name: str, status: int, body: dict[str, Any]) -> None:
    response = Client().get(f"/v1/fail/{name}")
    assert (response.status_code, response.json()) == (status, body)
    assert ("Retry-After" in response) is (status in (429, 503))


def test_the_wait_of_a_refusal_is_rounded_up() -> None:
    assert Client().get("/v1/fail/refused")["Retry-After"] == "2"


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"text": "Field required"}),
        ({"text": ""}, {"text": "String should have at least 1 character"}),
        ({"text": "x" * 11}, {"text": "String should have at most 10 characters"}),
        ({"text": 1}, {"text": "Input should be a valid string"}),
        (
            {"text": "a", "changes": [{"path": "a"}, {"path": ""}]},
            {"changes.1.path": "String should have at least 1 character"},
        ),
        ({"text": "a", "changes": "b"}, {"changes": "Input should be a valid list"}),
    ],
)
def test_a_mistake_is_told_with_its_path(body: object, fields: dict[str, str]) -> None:
    status, answer = post(json.dumps(body))
    assert (status, answer["code"], answer["fields"]) == (422, "invalid", fields)
    assert all(path in answer["detail"] for path in fields)


@pytest.mark.parametrize("body", ["[]", '"x"', "1", "null", "true"])
def test_json_of_the_wrong_kind_is_a_mistake_in_the_body(body: str) -> None:
    assert post(body)[0] == 422


@pytest.mark.parametrize(
    "body",
    ["{", "", "{'a': 1}", '{"text": NaN}', '{"text": "a", "x": -Infinity}', b"\xff\xfe", "[" * 100_000, "x" * 100_000],
)
def test_a_body_that_is_not_json_is_malformed(body: bytes | str) -> None:
    status, answer = post(body)
    if body:
        assert (status, answer["code"]) == (400, "malformed_json")
    else:
        assert (status, answer["code"]) == (422, "invalid")


@pytest.mark.parametrize("text", ["a\\u0000b", "\\ud800", "a\\udc00b"])
@pytest.mark.parametrize(
    ("template", "path"),
    [
        ('{"text": "%s"}', "text"),
        ('{"text": "a", "changes": [{"path": "%s"}]}', "changes.0.path"),
        ('{"%s": 1}', "body"),
    ],
)
def test_text_that_the_database_can_not_keep_is_a_mistake(text: str, template: str, path: str) -> None:
    status, answer = post(template % text)
    assert (status, answer["code"]) == (422, "invalid")
    assert path in answer["fields"]


def test_a_surrogate_pair_is_a_character() -> None:
    assert post('{"text": "\\ud83d\\ude00"}') == (200, {"text": "😀"})


def test_a_wrong_query_is_told_with_its_name() -> None:
    status, answer = post('{"text": "a"}', "/v1/echo?times=x")
    assert status == 422
    assert list(answer["fields"]) == ["times"]


def test_what_django_itself_answers_is_json_too() -> None:
    missing = Client().get("/v1/nothing/here")
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    wrong = Client().get("/v1/echo")
    assert (wrong.status_code, wrong.json()["code"], wrong["Allow"]) == (405, "method_not_allowed", "POST")
    bad_host = Client().get("/v1/fail/missing", HTTP_HOST="evil.example")
    assert bad_host.status_code in (400, 404)
    assert bad_host.json()["code"] in ("bad_request", "not_found")


def test_a_huge_body_is_refused_by_size() -> None:
    status, answer = post(json.dumps({"text": "x" * 3_000_000}))
    assert (status, answer["code"]) == (413, "too_large")
