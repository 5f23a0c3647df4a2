"""Whatever is asked for, and from wherever: what is wrong is refused by its name, and nothing fails."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from functools import partial
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from pydantic import BaseModel, JsonValue

from accounts import tokens
from jobs import invariants
from jobs.backoff import delay_seconds
from jobs.errors import Conflict, Invalid
from jobs.models import Job
from jobs.operations import operating, upkeep
from jobs.operations.asking import check, options_of, validated
from jobs.operations.enqueue import enqueue, enqueue_many
from jobs.operations.operator import Operator
from jobs.registry import JobType
from jobs.scheduler.expiry import run_expiry
from jobs.states import Status
from jobs.testing import run_until_idle
from tests.jobs.kinds import ECHO, FAIL, Plan
from tests.together import at_once

pytestmark = pytest.mark.django_db(transaction=True)

DAY = timedelta(days=1)
WRONG: list[dict[str, Any]] = [
    {"priority": 10**6},
    {"priority": -40_000},
    {"max_attempts": 0},
    {"max_attempts": -1},
    {"max_attempts": 2**40},
    {"backoff": [float("inf")]},
    {"backoff": [float("nan")]},
    {"backoff": [1.0, -1.0]},
    {"backoff": [1.0] * 101},
    {"unique": "x" * 201},
    {"unique": "a\0b"},
    {"ordering_key": "x" * 201},
    {"ordering_key": "a\0b"},
    {"scope": "test:" + "x" * 200},
    {"scope": "test:\0"},
    {"fair_key": "\ud83d"},
    {"concurrency_key": "a b"},
    {"idempotency_key": "k"},
    {"delay": -DAY},
    {"delay": timedelta.max},
    {"scheduled_at": datetime(2030, 1, 1)},  # noqa: DTZ001
    {"scheduled_at": datetime.max.replace(tzinfo=UTC)},
    {"scheduled_at": datetime.min.replace(tzinfo=UTC)},
    {"scheduled_at": datetime(2027, 1, 1, tzinfo=UTC), "delay": DAY},
    {"expires_in": timedelta(0)},
    {"expires_in": -DAY},
    {"timeout": timedelta(0)},
    {"timeout": -DAY},
    {"timeout": timedelta.max},
    {"keep_for": -DAY},
    {"keep_for": timedelta.max},
    {"queue": "nowhere"},
    {"tags": ["a b"]},
    {"if_dead": "explode"},
    {"replace": True},
]


@pytest.fixture
def user() -> User:
    return User.objects.create_user("ann")


@pytest.fixture
def staff() -> Client:
    token = tokens.issue(User.objects.create_superuser("root"), "t", ("read", "operate"))[1]
    return Client(headers={"Authorization": f"Bearer {token}"}, raise_request_exception=False)


def post(staff: Client, path: str = "jobs", key: str = "", **body: Any) -> Any:
    headers = {"Idempotency-Key": key} if key else {}
    body = {"type": ECHO.name, **body}
    return staff.post(f"/v1/ops/{path}", body, content_type="application/json", headers=headers)


def add(*words: str) -> str:
    out = StringIO()
    call_command("jobs", "add", ECHO.name, *words, stdout=out, stderr=out)
    return out.getvalue()


def fields_of(wrong: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(Invalid) as refused:
        enqueue(ECHO, Plan(), **wrong)
    assert not Job.objects.exists()
    fields: dict[str, str] = refused.value.extra["fields"]
    assert all(f"{name}: {why}" in str(refused.value) for name, why in fields.items())
    return fields


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: next(iter(wrong)))
def test_an_option_that_is_wrong_is_named_and_nothing_is_recorded(wrong: dict[str, Any]) -> None:
    assert list(fields_of(wrong)) == [next(iter(wrong))]
    if not wrong.keys() & {"unique", "idempotency_key", "replace"}:
        with pytest.raises(Invalid):
            enqueue_many(ECHO, [Plan()], **wrong)
    assert not Job.objects.exists()


def test_all_that_are_wrong_are_named_at_once() -> None:
    wrong: dict[str, Any] = {}
    for each in WRONG:
        wrong |= each
    assert fields_of(wrong).keys() == wrong.keys() - {"delay", "replace"}, "which are right beside the others"


def test_what_is_just_right_is_recorded_as_it_was_said(user: User) -> None:
    for priority, attempts in ((-(2**15), 1), (2**15 - 1, 10**9)):
        job = enqueue(ECHO, Plan(), priority=priority, max_attempts=attempts, unique="é" * 200, backoff=[])
        job.refresh_from_db()
        assert (job.priority, job.max_attempts, len(job.unique_key)) == (priority, attempts, 200)
        Job.objects.update(unique_key="")
    long = enqueue(ECHO, Plan(), scope="t:" + "x" * 198, ordering_key="l" * 200, owner=user, idempotency_key="k" * 200)
    assert long.scope is not None
    soon = timezone.now() + timedelta(hours=1)
    assert Job.objects.get(pk=enqueue(ECHO, Plan(), scheduled_at=soon).pk).scheduled_at == soon


HTTP_WRONG: list[dict[str, Any]] = [
    {"priority": 10**6},
    {"max_attempts": 0},
    {"backoff_seconds": [-1]},
    {"unique": "x" * 201},
    {"scope": "user:" + "x" * 200},
    {"scope": "nobody:1"},
    {"concurrency_key": "a b"},
    {"delay_seconds": 1e30},
    {"scheduled_at": "9999-12-31T23:59:59Z"},
    {"scheduled_at": "2027-01-01T00:00:00Z", "delay_seconds": 1},
    {"scheduled_at": "2027-01-01T00:00:00"},
    {"expires_in_seconds": 0},
    {"timeout_seconds": 0},
    {"keep_seconds": -1},
    {"queue": "nowhere"},
    {"tags": ["a b"]},
    {"if_dead": "explode"},
    {"replace": True},
    {"depends_on": ["0194b7a5-0000-7000-8000-000000000000"]},
]


@pytest.mark.parametrize("wrong", HTTP_WRONG, ids=lambda wrong: next(iter(wrong)))
def test_over_http_it_is_named_too(staff: Client, wrong: dict[str, Any]) -> None:
    answer = post(staff, **wrong)
    assert answer.status_code == 422, answer.content
    assert any(field.startswith(next(iter(wrong))) for field in answer.json()["fields"]), answer.content
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["{}", "--priority", "99999"], "priority: -32768 to 32767"),
        (["{}", "--delay-seconds", "nan"], "a number of seconds"),
        (["{}", "--delay-seconds", "1e30"], "a number of seconds"),
        (["{}", "--delay-seconds", "1e11"], "delay: from 0 up to 3650 days"),
        (["{}", "--delay-seconds=-1"], "delay: from 0 up to 3650 days"),
        (['{"seconds": NaN}'], "NaN is not JSON"),
        (['{"seconds": 1e999}'], "seconds: is not a finite number"),
        (['{"text": "\\ud83d"}'], "text: "),
    ],
)
def test_in_a_terminal_it_is_told_in_a_line(words: list[str], told: str) -> None:
    with pytest.raises(CommandError) as refused:
        add(*words)
    assert told in str(refused.value)
    assert not Job.objects.exists()


# -- payloads ----------------------------------------------------------------------------------------------------


class Anything(BaseModel):
    it: JsonValue


ANYTHING = JobType(name="asking_anything", queue="system", payload=Anything, result=None, handler=f"{__name__}:never")


@pytest.mark.parametrize(
    ("it", "path"),
    [
        ({"a": ["x", "a\0b"]}, "it.a.1"),
        ({"a": float("nan")}, "it.a"),
        (float("-inf"), "it"),
        ({"a\0": 1}, "it"),
        (10**5000, "payload"),
    ],
    ids=["nul", "nan", "infinite", "key", "long"],
)
def test_what_cannot_be_kept_is_refused_where_it_stands(it: Any, path: str) -> None:
    with pytest.raises(Invalid) as refused:
        enqueue(ANYTHING, {"it": it})
    assert list(refused.value.extra["fields"]) == [path]
    assert not Job.objects.exists()


@pytest.mark.parametrize("text", ["\\u0000", "\N{FACE WITH TEARS OF JOY}", "\\ud83d"])
def test_what_only_looks_like_it_is_kept(text: str) -> None:
    job = enqueue(ECHO, Plan(text=text))
    job.refresh_from_db()
    assert job.payload["text"] == text


def test_a_payload_that_is_too_large_is_told_from_others_and_so_are_too_many(config: Any) -> None:
    config(payload_bytes=100, bulk_jobs=2)
    assert validated(ECHO, Plan(text="x" * 50))["text"]
    with pytest.raises(Invalid) as large:
        enqueue(ECHO, Plan(text="x" * 100))
    assert large.value.code == "too_large"
    assert len(enqueue_many(ECHO, [Plan(), Plan()])) == 2
    with pytest.raises(Invalid) as many:
        enqueue_many(ECHO, [Plan(), Plan(), Plan()])
    assert many.value.code == "too_many"
    assert Job.objects.count() == 2


# -- keys and unique jobs ------------------------------------------------------------------------------------------


def test_a_unique_job_asked_for_with_a_key_is_that_keys_job(user: User) -> None:
    first = enqueue(ECHO, Plan(text="a"), owner=user, unique="u")
    assert enqueue(ECHO, Plan(text="b"), owner=user, unique="u", idempotency_key="k").pk == first.pk
    run_until_idle()
    assert enqueue(ECHO, Plan(text="b"), owner=user, unique="u", idempotency_key="k").pk == first.pk
    assert enqueue(ECHO, Plan(text="b"), owner=user, unique="u", idempotency_key="l").pk != first.pk


def test_a_unique_job_is_the_same_for_all_who_ask_with_keys_of_their_own(user: User) -> None:
    bob = User.objects.create_user("bob")
    jobs = [enqueue(ECHO, Plan(), owner=who, unique="u", idempotency_key="k") for who in (user, bob, user, bob)]
    assert len({job.pk for job in jobs}) == 1
    assert not invariants.keys_belong_to_their_owners()
    run_until_idle()
    assert enqueue(ECHO, Plan(), owner=bob, unique="u", idempotency_key="k").pk == jobs[0].pk


def test_a_key_replaces_once(user: User) -> None:
    job = enqueue(ECHO, Plan(text="a"), unique="u")
    for text in ("b", "c"):
        enqueue(ECHO, Plan(text=text), owner=user, unique="u", replace=True, idempotency_key=text)
    enqueue(ECHO, Plan(text="b"), owner=user, unique="u", replace=True, idempotency_key="b")
    assert Job.objects.get().pk == job.pk
    assert Job.objects.get().payload["text"] == "c"


@pytest.mark.parametrize("other", [{"priority": 5}, {"queue": "llm"}, {"delay": DAY}, {"keep_for": timedelta(0)}])
def test_another_option_under_a_key_is_another_request(user: User, other: dict[str, Any]) -> None:
    first = enqueue(ECHO, Plan(), owner=user, idempotency_key="k")
    with pytest.raises(Conflict, match="another request"):
        enqueue(ECHO, Plan(), owner=user, idempotency_key="k", **other)
    again = enqueue(ECHO, Plan(), owner=user, idempotency_key="l", **other)
    assert enqueue(ECHO, Plan(), owner=user, idempotency_key="l", **other).pk == again.pk != first.pk


def test_over_http_a_key_holds_for_the_whole_body_and_for_one_job(staff: Client) -> None:
    first = post(staff, key="k", unique="u", delay_seconds=60)
    assert (first.status_code, post(staff, key="k", unique="u", delay_seconds=60).json()["id"]) == (
        201,
        first.json()["id"],
    )
    assert post(staff, key="k", unique="u", delay_seconds=61).json()["code"] == "idempotency_mismatch"
    assert post(staff, unique="u").json()["id"] == first.json()["id"]
    assert post(staff, key="z", unique="u").json()["id"] == first.json()["id"]
    assert list(post(staff, key="k" * 201).json()["fields"]) == ["idempotency_key"]
    assert post(staff, key="k", scope="user:" + "1" * 195).status_code == 201
    assert list(post(staff, "jobs/bulk", key="k", payloads=[{}]).json()["fields"]) == ["idempotency_key"]
    assert Job.objects.count() == 2


@pytest.mark.parametrize("keyed", [False, True])
def test_many_who_ask_at_once_for_a_unique_job_get_one(user: User, keyed: bool) -> None:
    ask = partial(enqueue, ECHO, Plan(), owner=user, unique="u", idempotency_key="k" if keyed else "")
    answers = {job.pk for job in at_once(*[ask] * 16)}
    assert answers == {Job.objects.get().pk}


# -- times ---------------------------------------------------------------------------------------------------------


def test_a_job_that_is_kept_for_no_time_goes_with_the_next_cleaning(staff: Client) -> None:
    kept, gone = enqueue(ECHO, Plan(), keep_for=DAY), enqueue(ECHO, Plan(), keep_for=timedelta(0))
    assert post(staff, keep_seconds=0).status_code == 201
    run_until_idle()
    assert gone.keep_seconds == 0
    Job.objects.update(finished_at=timezone.now() - timedelta(seconds=1))
    assert upkeep.prune() == 2
    assert Job.objects.get() == kept


def test_what_is_delayed_expires_so_long_after_it_is_due(staff: Client) -> None:
    hour = timedelta(hours=1)
    delayed = enqueue(ECHO, Plan(), delay=2 * hour, expires_in=hour)
    past = enqueue(ECHO, Plan(), scheduled_at=timezone.now() - DAY, expires_in=hour)
    plain = enqueue(ECHO, Plan(), expires_in=hour)
    over_http = Job.objects.get(
        public_id=post(staff, delay_seconds=7200, expires_in_seconds=3600).json()["id"],
    )
    for job, hours in ((delayed, 3), (past, 1), (plain, 1), (over_http, 3)):
        assert job.expires_at is not None
        assert abs(job.expires_at - timezone.now() - hours * hour) < timedelta(minutes=1)


def test_what_is_put_off_again_and_again_does_not_expire_before_it_is_due() -> None:
    for minutes in (1, 30):
        enqueue(
            ECHO,
            Plan(),
            unique="u",
            replace=True,
            delay=timedelta(minutes=minutes),
            expires_in=timedelta(minutes=1),
        )
    job = Job.objects.get()
    assert job.scheduled_at is not None
    assert job.expires_at == job.scheduled_at + timedelta(minutes=1)
    Job.objects.update(expires_at=timezone.now() - DAY)
    run_expiry()
    assert Job.objects.get().status == Status.EXPIRED


def test_what_is_moved_to_another_time_expires_so_long_after_that() -> None:
    by, minute = Operator(user=None, via="test"), timedelta(minutes=1)
    job = enqueue(ECHO, Plan(), delay=DAY, expires_in=minute)
    for at in (timezone.now() + 7 * DAY, timezone.now() - DAY):
        moved = operating.reschedule(job.pk, at, by=by)
        assert moved.expires_at is not None
        assert abs(moved.expires_at - max(at, timezone.now()) - minute) < timedelta(seconds=20)
    for wrong in (datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC)):
        with pytest.raises(Invalid, match="scheduled_at: no more than"):
            operating.reschedule(job.pk, wrong, by=by)


def test_exponential_backoff_doubles_up_to_its_cap_and_half_of_it_is_chance() -> None:
    rng = random.Random(7)
    for attempt, whole in ((1, 2.0), (2, 4.0), (3, 8.0), (4, 10.0), (60, 10.0), (10**9, 10.0)):
        waits = [delay_seconds(attempt, rng=rng, first=2, cap=10) for _ in range(200)]
        assert whole / 2 <= min(waits) < whole * 0.6
        assert whole * 0.9 < max(waits) <= whole


def test_a_job_waits_longer_from_attempt_to_attempt(config: Any) -> None:
    config(backoff_seconds=100, backoff_cap_seconds=300)
    job = enqueue(FAIL, Plan(), max_attempts=5)
    run_until_idle()
    told = job.events.filter(event="job.retried").order_by("id").values_list("data__after_seconds", flat=True)
    for seconds, whole in zip(told, (100, 200, 300, 300), strict=True):
        assert whole / 2 <= seconds <= whole


# -- names of others -----------------------------------------------------------------------------------------------


def test_what_is_named_twice_as_a_dependency_is_waited_for_once(staff: Client) -> None:
    first = enqueue(ECHO, Plan())
    job = enqueue(ECHO, Plan(), depends_on=[first, first])
    assert [dependency.on for dependency in job.dependencies.all()] == [first]
    assert post(staff, depends_on=[str(first.public_id)] * 2).status_code == 201
    run_until_idle()
    job.refresh_from_db()
    assert job.status == Status.COMPLETED


def test_a_scope_that_no_app_answers_for_breaks_no_page(user: User, staff: Client) -> None:
    job = enqueue(ECHO, Plan(), scope="nobody:1", owner=user)
    root, browser = User.objects.get(username="root"), Client(raise_request_exception=False)
    for who in (user, root):
        browser.force_login(who)
        for path in (
            f"/requests/{job.public_id}/",
            f"/v1/requests/{job.public_id}",
            f"/v1/events/jobs/{job.public_id}",
        ):
            assert browser.get(path).status_code < 500, path
    for path in (f"jobs/{job.public_id}", f"jobs/{job.public_id}/timeline", "jobs"):
        assert staff.get(f"/v1/ops/{path}").status_code == 200, path
    assert browser.get(f"/admin/jobs/job/{job.pk}/change/").status_code == 200
    assert browser.get("/admin/jobs/job/").status_code == 200


def test_one_check_answers_for_code_terminal_and_http(staff: Client) -> None:
    with pytest.raises(Invalid) as refused:
        check(ECHO, options_of(ECHO, {"priority": 10**6}))
    (why,) = refused.value.extra["fields"].values()
    with pytest.raises(CommandError, match=why):
        add(json.dumps({}), "--priority", "1000000")
    assert post(staff, priority=2**15).status_code == 422
    assert post(staff, priority=2**15 - 1).status_code == 201
