"""Other systems answer over HTTP: once, early or late, and only those who may."""

from __future__ import annotations

import json
import time
from base64 import b64encode
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db.models.functions import Now
from django.test import Client
from pytest_django import Settings

from jobs import registry
from jobs.models import Job, Wait
from jobs.operations.callbacks import path
from jobs.operations.controls import cancel
from jobs.operations.enqueue import enqueue
from jobs.scheduler.timers import run_timers
from jobs.states import Status
from jobs.testing import run_next, run_next_killed
from jobs.webhooks import is_signed, signed
from tests.jobs import durable
from tests.jobs.durable import SUBMITTER, Wish
from tests.together import at_once

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _nothing_handed_out() -> None:
    durable.handed_out.clear()


def submitted(**wish: Any) -> tuple[Job, str]:
    """A job that waits for its callback, and the token that was handed out."""
    job = enqueue(SUBMITTER, Wish(**wish))
    run_next()
    (token,) = durable.handed_out
    return job, token


def post(client: Client, token: str, answer: Any, **headers: str) -> tuple[int, dict[str, Any]]:
    body = answer if isinstance(answer, bytes) else json.dumps(answer)
    response = client.post(path(token), body, content_type="application/json", headers=headers)
    return response.status_code, response.json()


def result(job: Job) -> Any:
    return Job.objects.get(pk=job.pk).result


def test_an_answer_resumes_the_job_and_may_be_sent_again(client: Client) -> None:
    job, token = submitted()
    assert post(client, token, {"url": "x"}) == (200, {"received": True})
    assert post(client, token, {"url": "x"}) == (200, {"received": True})
    assert post(client, token, {"url": "y"})[0] == 409
    run_next()
    assert result(job) == {"answer": {"url": "x"}}
    assert post(client, token, {"url": "x"}) == (200, {"received": True}), "also when the job has ended"
    assert post(client, token, {"url": "y"})[1]["code"] == "answered"


def test_an_answer_that_comes_before_the_job_waits_is_stored(client: Client) -> None:
    job = enqueue(SUBMITTER, Wish())
    run_next_killed()  # killed right after the token was minted
    run_next_killed()  # and right after it was submitted
    (token,) = durable.handed_out
    assert post(client, token, "early")[0] == 200
    run_next()
    assert result(job) == {"answer": "early"}
    assert durable.handed_out == [token], "submitted once"


def test_tokens_are_stored_hashed_and_are_the_same_on_every_replay() -> None:
    _, token = submitted()
    columns = str(list(Wait.objects.values())) + str(list(Job.objects.get().steps.values()))
    assert token not in columns
    assert len(token) == 43


def test_a_token_outlives_the_secret_key_it_was_made_with(settings: Settings, client: Client) -> None:
    job, token = submitted()
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "the next one", [settings.SECRET_KEY]
    assert post(client, token, 1)[0] == 200
    run_next()
    assert result(job) == {"answer": 1}


def test_unknown_and_spent_tokens_are_refused_in_one_shape(client: Client) -> None:
    job, token = submitted()
    cancel(job.pk)
    unknown, spent = post(client, "x" * 43, 1), post(client, token, 1)
    assert (unknown[0], spent[0]) == (404, 410)
    assert unknown[1].keys() == spent[1].keys() == {"code", "detail"}
    assert post(client, "é/..%00", 1)[0] == 404


def test_nobody_may_answer_after_the_time_is_up(client: Client) -> None:
    job, token = submitted(seconds=60)
    Wait.objects.update(due_at=Now() - timedelta(seconds=1))
    run_timers()
    assert post(client, token, 1)[0] == 410
    run_next()
    assert result(job) == {"answer": "too late"}


def test_an_answer_for_an_earlier_run_is_refused(client: Client) -> None:
    job, token = submitted()
    Job.objects.filter(pk=job.pk).update(run=2)
    assert post(client, token, 1)[0] == 410


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"not json", 400, "malformed_json"),
        (b"", 422, "invalid"),
        (b'{"a": NaN}', 400, "malformed_json"),
        (b"1e999", 422, "invalid"),
        (b'"\\u0000"', 422, "invalid"),
        (b'"\\ud800"', 422, "invalid"),
        (b'"' + b"x" * 70_000 + b'"', 422, "too_large"),
        (b"[" * 50_000, 400, "malformed_json"),
    ],
)
def test_an_answer_that_cannot_be_kept_is_refused_and_the_job_goes_on_waiting(
    client: Client, body: bytes, status: int, code: str
) -> None:
    job, token = submitted()
    refused = post(client, token, body)
    assert (refused[0], refused[1]["code"]) == (status, code)
    assert Job.objects.get(pk=job.pk).status == Status.WAITING
    assert post(client, token, 1)[0] == 200


def test_a_verifier_decides_whether_the_sender_is_believed(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_verifiers", {})
    registry.register_verifier("partner", lambda headers, body: headers.get("x-secret") == "s" and body == b'"ok"')
    _, token = submitted(do="partner")
    assert post(client, token, "ok")[1]["code"] == "not_verified"
    assert post(client, token, "forged", **{"X-Secret": "s"})[0] == 403
    assert post(client, token, "ok", **{"X-Secret": "s"})[0] == 200


def test_a_verifier_that_is_gone_believes_nobody(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_verifiers", {"partner": lambda headers, body: True})
    _, token = submitted(do="partner")
    monkeypatch.setattr(registry, "_verifiers", {})
    assert post(client, token, "ok")[0] == 403


def test_of_many_answers_at_once_one_is_taken(client: Client) -> None:
    job, token = submitted()
    answers = at_once(*[partial(post, Client(), token, number % 2) for number in range(8)])
    assert sorted(code for code, _ in answers) == [200] * 4 + [409] * 4
    run_next()
    assert result(job)["answer"] in (0, 1)


SECRET = "whsec_" + b64encode(b"a secret of ours").decode()


@pytest.mark.parametrize(
    ("secret", "age", "signs", "status"),
    [
        (SECRET, 0, b'"ok"', 200),
        (SECRET, 60, b'"ok"', 200),
        (SECRET, 3600, b'"ok"', 403),
        (SECRET, -3600, b'"ok"', 403),
        (SECRET, 0, b'"other"', 403),
        ("whsec_" + b64encode(b"of somebody else").decode(), 0, b'"ok"', 403),
    ],
)
def test_a_signed_callback_takes_what_standard_webhooks_signed(
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
    config: Callable[..., None],
    secret: str,
    age: int,
    signs: bytes,
    status: int,
) -> None:
    config(callback_secret=SECRET)
    monkeypatch.setattr(registry, "_verifiers", {"signed": is_signed})
    _, token = submitted(do="signed")
    headers = signed(secret, "msg_1", int(time.time()) - age, signs.decode())
    assert post(client, token, b'"ok"', **headers)[0] == status


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"webhook-id": "1", "webhook-timestamp": "soon", "webhook-signature": "v1,x"},
        {"webhook-id": "1", "webhook-timestamp": "9" * 30, "webhook-signature": "v1,x"},
        {"webhook-id": "1", "webhook-timestamp": "9" * 400, "webhook-signature": "v1,x"},
        {"webhook-id": "1", "webhook-timestamp": "9" * 5000, "webhook-signature": "v1,x"},
        {"webhook-id": "1", "webhook-timestamp": "1", "webhook-signature": "v1,\xe9"},
    ],
)
def test_a_signed_callback_refuses_whatever_else_comes(
    client: Client, monkeypatch: pytest.MonkeyPatch, config: Callable[..., None], headers: dict[str, str]
) -> None:
    config(callback_secret=SECRET)
    monkeypatch.setattr(registry, "_verifiers", {"signed": is_signed})
    _, token = submitted(do="signed")
    assert post(client, token, b'"ok"', **headers)[0] == 403
    assert post(client, token, b"\xff\xfe", **headers)[0] in (400, 403)
