"""Schedulers tell of incidents themselves: where no worker lives, and when they are killed or stopped meanwhile."""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from jobs.jobtypes import ALERT
from jobs.listing import worker_rows
from jobs.models import Job, Leadership
from jobs.states import Status
from queueproject.queues import QUEUES
from queueproject.testing.loopback import serving
from tests import servers
from tests.jobs.receiver import Receiver, signature
from tests.processes import Stack
from tests.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
UNSERVED = set(QUEUES) - {ALERT.queue}

Start = Callable[..., None]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with serving(Receiver()) as server:
        yield server
        server.release()


@pytest.fixture
def scheduler(stack: Stack, receiver: Receiver) -> Start:
    """``scheduler("scheduler.2")`` starts one that soon finds what is wrong, and nothing else."""

    def start(name: str = "scheduler", **environment: str) -> None:
        told = {"ALERT_WEBHOOK_URL": receiver.url, "ALERT_WEBHOOK_SECRET": SECRET}
        stack.start(name, ALERT_SECONDS="0.1", ALERT_AFTER_SECONDS="1", **told, **environment)

    return start


def subjects(receiver: Receiver) -> Counter[str]:
    """Of which queues it was told that nobody works on them, and how often."""
    told = [json.loads(body) for _, body in receiver.posts]
    return Counter(post["data"]["subject"] for post in told if post["type"] == "alert.no_worker")


def all_told(receiver: Receiver) -> bool:
    return subjects(receiver).keys() >= UNSERVED and not Job.objects.open().exists()


def wait_for_all(receiver: Receiver) -> None:
    wait_until(lambda: all_told(receiver), timeout=60, what="all incidents told")


def test_where_no_worker_lives_each_incident_is_posted_once_and_signed(scheduler: Start, receiver: Receiver) -> None:
    scheduler(LEASE_SECONDS="12")
    wait_for_all(receiver)
    assert subjects(receiver) == Counter(UNSERVED)
    assert all(headers["webhook-signature"] == signature(SECRET, headers, body) for headers, body in receiver.posts)
    [row] = worker_rows()
    assert row["name"].startswith("scheduler.")
    assert (row["queues"], row["slots"]) == ([ALERT.queue], 1)


def test_what_a_killed_scheduler_was_posting_another_posts_under_the_same_id(
    scheduler: Start, stack: Stack, receiver: Receiver
) -> None:
    receiver.hold()
    scheduler()
    wait_until(lambda: receiver.posts, timeout=60)
    stack.kill9("scheduler")
    receiver.release()
    scheduler("scheduler.2")
    wait_for_all(receiver)
    [again] = Job.objects.exclude(lease_losses=0)
    posted = Counter(receiver.ids())
    assert (posted.pop(receiver.ids()[0]), set(posted.values())) == (2, {1})
    assert (again.type, again.status, again.attempt) == (ALERT.name, Status.COMPLETED, 1)


def test_incidents_are_told_of_without_redis(scheduler: Start, receiver: Receiver, redis_server: servers.Redis) -> None:
    redis_server.stop()
    scheduler()
    wait_for_all(receiver)


def stop_amid_a_post(scheduler: Start, stack: Stack, receiver: Receiver) -> None:
    """The receiver keeps the post that the scheduler is about, which leads no more."""
    receiver.hold()
    scheduler(SHUTDOWN_SECONDS="60")
    wait_until(lambda: receiver.posts, timeout=60)
    stack.signal("scheduler")
    wait_until(Leadership.objects.filter(holder="").exists)


def test_one_that_is_stopped_lets_another_lead_at_once_and_finishes_its_post(
    scheduler: Start, stack: Stack, receiver: Receiver
) -> None:
    stop_amid_a_post(scheduler, stack, receiver)
    assert Job.objects.filter(type=ALERT.name, status=Status.RUNNING).count() == 1
    receiver.release()
    assert stack.wait("scheduler") == 0
    assert len(receiver.posts) == 1, "it took no more"
    assert Job.objects.filter(type=ALERT.name, status=Status.COMPLETED).count() == 1


def test_one_that_is_stopped_twice_hands_its_post_back_at_once(
    scheduler: Start, stack: Stack, receiver: Receiver
) -> None:
    stop_amid_a_post(scheduler, stack, receiver)
    stack.signal("scheduler", signal.SIGINT)
    assert stack.wait("scheduler") == 0
    assert not Job.objects.filter(status=Status.RUNNING).exists()
    assert Job.objects.filter(type=ALERT.name, events__event="job.released").count() == 1
