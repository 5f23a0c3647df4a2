"""One's own request over HTTP: what it says of itself, calling it off, having it run again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from games import operations
from jobs.eta import LEAST_REQUESTS, quick_and_slow, service_times
from jobs.measures import BOUNDS, SERVICE_TIME, Times
from jobs.models import Job
from jobs.operations.enqueue import enqueue
from jobs.states import Status
from tests.cast import Cast
from tests.jobs.kinds import ECHO, Plan

pytestmark = pytest.mark.django_db(transaction=True)

NOWHERE = "0199c0de-0000-7000-8000-000000000000"


def act(cast: Cast, text: str = "I wave.") -> Job:
    return operations.act(user=cast.player1, game=cast.game, text=text)


def get(cast: Cast, job: Job, name: str = "player1") -> Any:
    return Client().get(f"/v1/requests/{job.public_id}", headers=cast.bearer(getattr(cast, name))).json()


def post(cast: Cast, name: str, request_id: object, verb: str) -> Any:
    path = f"/v1/requests/{request_id}/{verb}"
    return Client().post(path, b"", content_type="application/json", headers=cast.bearer(getattr(cast, name)))


@pytest.fixture
def lately() -> Iterator[Callable[[float], None]]:
    """``lately(0.7)``: so long did the last requests of players take."""

    def took(seconds: float) -> None:
        times = Times()
        for _ in range(LEAST_REQUESTS):
            times.add(seconds)
        times.row(timezone.now(), "player_actions", SERVICE_TIME).save()
        service_times.forget()

    service_times.forget()
    yield took
    service_times.forget()


def seconds_until(moment: str) -> float:
    return (datetime.fromisoformat(moment) - timezone.now()).total_seconds()


def test_a_request_says_its_game_and_place(cast: Cast) -> None:
    first, second = act(cast), act(cast)
    said = get(cast, second, "player2")
    assert (said["game_id"], said["position"]) == (str(cast.game.pk), 1)
    assert said["blocked_by"]["request_id"] == str(first.public_id)
    alone = enqueue(ECHO, Plan(), owner=cast.player1)
    assert get(cast, alone)["game_id"] is None


def test_when_it_will_be_done_is_a_range_that_grows_with_the_line(cast: Cast, lately: Callable[[float], None]) -> None:
    lately(0.7)
    first, second, third = (get(cast, job)["eta"] for job in [act(cast) for _ in range(3)])
    for number, eta in enumerate((first, second, third), 1):
        assert seconds_until(eta["earliest_at"]) == pytest.approx(0.5 * number, abs=0.4)
        assert seconds_until(eta["latest_at"]) == pytest.approx(1.0 * number, abs=0.4)


def test_nothing_is_said_after_too_few_requests_or_where_it_says_nothing(
    cast: Cast, lately: Callable[[float], None]
) -> None:
    job = act(cast)
    assert get(cast, job)["eta"] is None
    lately(7200)
    assert get(cast, job)["eta"] is None


@pytest.mark.parametrize(
    "fields",
    [
        {"awaiting_approval": True, "status": Status.WAITING, "started_at": timezone.now()},
        {"status": Status.RUNNING, "started_at": timezone.now() - timedelta(seconds=30)},
        {"status": Status.SCHEDULED},
    ],
    ids=["a person decides", "longer than nearly all", "between two attempts"],
)
def test_nothing_is_said_where_nobody_knows(
    cast: Cast, lately: Callable[[float], None], fields: dict[str, Any]
) -> None:
    lately(0.7)
    head, behind = act(cast), act(cast)
    Job.objects.filter(pk=head.pk).update(**fields)
    assert get(cast, head)["eta"] is None
    assert get(cast, behind)["eta"] is None


def test_of_a_running_request_what_has_passed_is_taken_off(cast: Cast, lately: Callable[[float], None]) -> None:
    lately(50)
    job = act(cast)
    Job.objects.filter(pk=job.pk).update(status=Status.RUNNING, started_at=timezone.now() - timedelta(seconds=20))
    eta = get(cast, job)["eta"]
    assert seconds_until(eta["earliest_at"]) == pytest.approx(10, abs=2)
    assert seconds_until(eta["latest_at"]) == pytest.approx(40, abs=2)


def test_the_range_leaves_out_the_quickest_and_the_slowest() -> None:
    buckets = [0] * (len(BOUNDS) + 1)
    buckets[0], buckets[7], buckets[8], buckets[-1] = 1, 10, 8, 1
    assert quick_and_slow(buckets) == (0.5, 2.5)
    assert quick_and_slow([]) is None
    assert quick_and_slow([1, *buckets[1:-1], 10]) is None


@pytest.mark.parametrize(
    ("name", "status"), [("player1", 200), ("dm", 200), ("player2", 403), ("stranger", 404), ("admin", 200)]
)
def test_a_request_is_called_off_by_whose_it_is_and_who_decides(cast: Cast, name: str, status: int) -> None:
    job = act(cast)
    assert post(cast, name, job.public_id, "cancel").status_code == status
    job.refresh_from_db()
    assert (job.status == Status.CANCELLED) == (status == 200)


def test_a_request_that_was_called_off_runs_again_at_the_end_of_the_line(cast: Cast) -> None:
    job, other = act(cast), act(cast)
    assert post(cast, "player1", job.public_id, "retry").json()["code"] == "not_dead"
    assert post(cast, "player1", job.public_id, "cancel").json()["status"] == "cancelled"
    assert post(cast, "player1", job.public_id, "cancel").json()["code"] == "ended"
    said = post(cast, "player1", job.public_id, "retry").json()
    assert (said["status"], said["position"], said["request_id"]) == ("queued", 1, str(job.public_id))
    assert said["blocked_by"]["request_id"] == str(other.public_id)


@pytest.mark.parametrize("verb", ["cancel", "retry"])
@pytest.mark.parametrize("request_id", ["x", NOWHERE])
def test_a_request_that_is_none_is_not_found(cast: Cast, verb: str, request_id: str) -> None:
    answer = post(cast, "player1", request_id, verb)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
