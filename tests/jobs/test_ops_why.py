"""Why a job does not run: each reason, with a link that works."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client

from games.models import Game, Membership, Role
from games.operations import act
from jobs.models import Job
from jobs.operations import leases, queues
from jobs.operations.enqueue import enqueue
from jobs.operations.operator import Operator
from jobs.pauses import pauses
from jobs.testing import run_next, run_until_idle
from jobs.why import Reason, Why, why_waiting
from tests.jobs.kinds import ECHO, FAIL, PARENT, Plan

pytestmark = pytest.mark.django_db(transaction=True)

CONSOLE = Operator(user=None, via="console")


@pytest.fixture(autouse=True)
def _nothing_known() -> Iterator[None]:
    yield
    pauses.forget()


@pytest.fixture
def admin() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


def why(job: Job) -> Why:
    found = why_waiting(Job.objects.get(pk=job.pk))
    assert found is not None
    return found


def listen(*names: str) -> None:
    leases.register(name="a", queues=names, slots=1)


def test_behind_the_head_of_its_lane(admin: Client) -> None:
    first, _, third = (enqueue(ECHO, Plan(), ordering_key="lane:a") for _ in range(3))
    found = why(third)
    assert (found.reason, found.text[:18]) == (Reason.LANE, "behind 2 in lane:a")
    assert str(first.public_id) in found.text
    assert admin.get(found.url).status_code == 200


def test_after_one_that_it_depends_on(admin: Client) -> None:
    first = enqueue(ECHO, Plan())
    found = why(enqueue(ECHO, Plan(), depends_on=[first]))
    assert found.reason == Reason.DEPENDENCY
    assert str(first.public_id) in found.text
    assert admin.get(found.url).status_code == 200


def test_not_before_its_time_or_its_next_attempt() -> None:
    assert why(enqueue(ECHO, Plan(), delay=timedelta(hours=1))).reason == Reason.DELAY
    failed = enqueue(FAIL, Plan())
    run_next()
    assert (why(failed).reason, why(failed).text[-9:]) == (Reason.TIMER, "attempt 2")


def test_until_the_time_that_whom_it_asked_has_named() -> None:
    job = enqueue(FAIL, Plan(do="later"))
    run_next()
    assert (why(job).reason, why(job).text[-9:]) == (Reason.RATE, "come back")


def test_for_its_child(admin: Client) -> None:
    parent = enqueue(PARENT, Plan())
    run_next()
    found = why(parent)
    assert found.reason == Reason.CHILD
    assert str(parent.children.get().public_id) in found.text
    assert admin.get(found.url).status_code == 200


def test_for_a_person(admin: Client) -> None:
    game = Game.objects.create(name="The Cellar", opening="A tavern.", state={"clock": 3})
    player, dm = User.objects.create_user("player"), User.objects.get(username="root")
    Membership.objects.create(game=game, user=player)
    Membership.objects.create(game=game, user=dm, role=Role.DM)
    job = act(game=game, user=player, text="look around")
    run_until_idle()
    found = why(job)
    assert found.reason == Reason.DECISION
    page = admin.get(found.url)
    assert page.status_code == 200
    assert "look around" in page.content.decode()


def test_in_a_paused_queue_in_one_nobody_serves_or_behind_others_there(admin: Client) -> None:
    enqueue(ECHO, Plan())
    job = enqueue(ECHO, Plan())
    queues.pause_queue("system", by=Operator(user=User.objects.get(username="root"), via="admin"))
    assert (why(job).reason, "by root" in why(job).text) == (Reason.PAUSED, True)
    assert admin.get(why(job).url).status_code == 200
    queues.resume_queue("system", by=CONSOLE)
    assert why(job).reason == Reason.NO_WORKER
    listen("llm")
    assert why(job).reason == Reason.NO_WORKER
    assert admin.get(why(job).url).status_code == 200
    listen("llm", "system")
    assert (why(job).reason, why(job).text) == (Reason.QUEUE, "1 are ahead of it in system")
    queues.pause_worker("a", by=CONSOLE)
    assert (why(job).reason, "is paused" in why(job).text) == (Reason.NO_WORKER, True), "a paused worker doesn't listen"
    assert admin.get(why(job).url).status_code == 200


def test_what_runs_or_has_ended_waits_for_nothing() -> None:
    job = enqueue(ECHO, Plan())
    worker = leases.register(name="a", queues=["system"], slots=1)
    (running,) = leases.claim_next(["system"], limit=1, worker_id=worker.pk)
    assert why_waiting(running) is None
    Job.objects.filter(pk=job.pk).update(status="completed")
    assert why_waiting(Job.objects.get(pk=job.pk)) is None
