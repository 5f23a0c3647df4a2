"""The tokens of callbacks open what waits for them, so no log has them."""

from __future__ import annotations

import httpx
import pytest

from queueproject.redaction import redacted
from tests.processes import Stack


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("POST /v1/callbacks/Zk3-_x", "POST /v1/callbacks/[token]"),
        ("/v1/callbacks/Zk3?a=b or /v1/callbacks/Yy", "/v1/callbacks/[token]?a=b or /v1/callbacks/[token]"),
        ("<ASGIRequest: POST '/v1/callbacks/Zk3'>", "<ASGIRequest: POST '/v1/callbacks/[token]'>"),
        ("/v1/requests/Zk3", "/v1/requests/Zk3"),
    ],
)
def test_a_token_is_left_out_of_a_line_and_nothing_else(said: str, left: str) -> None:
    assert redacted(said) == left


@pytest.mark.integration
@pytest.mark.django_db(transaction=True)
def test_neither_the_servers_log_of_requests_nor_ours_has_a_token(stack: Stack) -> None:
    stack.start("web")
    answer = httpx.post(f"{stack.base_url}/v1/callbacks/a-secret-token", json={})
    assert answer.status_code == 404
    log = stack.log("web")
    assert "POST /v1/callbacks/[token]" in log, "daphne's own"
    assert "Not Found: /v1/callbacks/[token]" in log, "ours"
    assert "a-secret-token" not in log
