"""What passes by: progress to those who watch, places in line, how the queues stand. None of it is a numbered event."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from accounts.threads import in_thread
from jobs import registry
from jobs.ephemeral import Ephemeral
from jobs.models import Job
from jobs.models_events import JobEvent
from jobs.operations.controls import cancel
from jobs.operations.enqueue import enqueue
from jobs.operations.progress import keep
from jobs.operations.transitions import lock
from jobs.overview import overview
from jobs.registry import QueueStatus
from jobs.scheduler.positions import Positions
from jobs.states import Status
from jobs.streams import hub, scope_id
from jobs.testing import run_next
from jobs.transport import RedisTransport
from tests.jobs.kinds import CHATTY, ECHO, Plan
from tests.jobs.test_streams import await_listeners, of
from tests.processes import Stack
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

Said = list[tuple[int, Ephemeral]]


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Said:
    """What this process tells those who watch."""
    heard: Said = []

    def say(transport: RedisTransport, told: Said, stirred: Iterable[int] = ()) -> bool:
        heard.extend(told)
        return True

    monkeypatch.setattr(RedisTransport, "say", say)
    return heard


def in_line(count: int, lane: str = "lane:a") -> list[Job]:
    return [enqueue(ECHO, Plan(text=str(n)), scope="test:1", ordering_key=lane) for n in range(count)]


def test_those_behind_are_told_their_new_place_when_somebody_ahead_has_ended(said: Said) -> None:
    first, second, third, fourth = in_line(4)
    in_line(2, "lane:b")  # where nobody ends, nobody is told
    look = Positions()
    look()
    assert said == []
    cancel(second.pk)
    look()
    places = {told.request_id: told.data["position"] for _, told in said}
    assert places == {str(job.public_id): at for at, job in enumerate([first, third, fourth])}
    assert {(scope, told.event) for scope, told in said} == {(first.scope_id, "request.position")}
    said.clear()
    look()
    assert said == [], "nothing has changed since"
    assert run_next() is not None
    look()
    assert [told.data["position"] for _, told in said] == [0, 1]


def test_a_request_that_has_begun_has_no_place(said: Said) -> None:
    look = Positions()
    first, second = in_line(2)
    Job.objects.filter(pk=first.pk).update(started_at=first.created_at)
    (other,) = [enqueue(ECHO, Plan(), scope="test:1", ordering_key="lane:a")]
    cancel(second.pk)
    look()
    assert [(told.request_id, told.data["position"]) for _, told in said] == [(str(other.public_id), 1)]


def test_places_are_asked_with_two_statements_however_many_wait(django_assert_num_queries: Any, said: Said) -> None:
    look = Positions()
    jobs = in_line(30)
    cancel(jobs[0].pk)
    with django_assert_num_queries(2):
        look()
    assert len(said) == 29


@pytest.mark.integration
async def test_progress_is_kept_and_told_to_those_who_watch_but_not_more_than_four_times_a_second(stack: Stack) -> None:
    job = await in_thread(partial(enqueue, CHATTY, Plan(seconds=2.0), scope="test:1"))
    async with hub().watch(of(job)) as stream:
        await await_listeners(job, 1)
        with stream.listen() as inbox:
            await in_thread(stack.start, "worker")
            heard: list[Ephemeral] = []
            async with asyncio.timeout(60):
                while not await in_thread(Job.objects.filter(pk=job.pk, status=Status.COMPLETED).exists):
                    while not inbox.empty():
                        heard.append(inbox.get_nowait())
                    await asyncio.sleep(0.05)
    told = [each for each in heard if each.event == "progress"]
    assert 2 <= len(told) <= 9
    assert {each.request_id for each in told} == {str(job.public_id)}
    assert await in_thread(Job.objects.filter(pk=job.pk, progress__isnull=False).exists)
    assert await in_thread(JobEvent.objects.exclude(seq=None).count) == 3, "progress has no number"


async def test_whoever_watches_a_game_is_told_how_the_queues_stand(
    config: Callable[..., None], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    decisions = registry.queues()["dm_approvals"]

    def fail_first() -> QueueStatus:
        if "can't be asked" not in caplog.text:
            raise LookupError("a defect in an upper room")
        return decisions()

    config(queue_status_seconds=0.05)
    overview.forget()
    monkeypatch.setattr(registry, "queues", lambda: {"dm_approvals": fail_first})
    scope = await in_thread(scope_id, "test:1")
    async with hub().watch(scope) as stream:
        with stream.listen() as inbox:
            told = await asyncio.wait_for(inbox.get(), 10)
    assert told.event == "queue.status"
    shown = {queue["name"]: queue for queue in told.data["queues"]}
    assert shown["llm"] == {"name": "llm", "depth": 0, "oldest_seconds": None, "running": 0, "paused": False}


@pytest.mark.integration
def test_the_progress_of_an_isolated_job_is_kept_as_seldom(stack: Stack) -> None:
    job = enqueue(CHATTY, Plan(do="alone", seconds=1.0))
    Job.objects.filter(pk=job.pk).update(lease_losses=5)
    stack.start("worker")
    wait_until(lambda: Job.objects.filter(pk=job.pk, status=Status.COMPLETED).exists(), timeout=60)
    assert Job.objects.get().progress


def test_the_last_progress_of_a_job_is_kept_though_it_comes_after_its_end() -> None:
    job, lost = enqueue(ECHO, Plan()), enqueue(ECHO, Plan())
    for each in (job, lost):
        assert run_next() is not None
        each.refresh_from_db()
    Job.objects.filter(pk=lost.pk).update(token=lost.token + 1)
    assert keep([(job, {"percent": 100}), (lost, {"percent": 100})]) == set()
    assert list(Job.objects.order_by("pk").values_list("progress", flat=True)) == [{"percent": 100}, None]


def test_the_progress_of_many_is_kept_in_one_statement_and_told_in_one_trip(said: Said) -> None:
    jobs = [enqueue(ECHO, Plan(), scope="test:1") for _ in range(30)]
    with CaptureQueriesContext(connection) as queries:
        assert keep([(job, {"percent": number}) for number, job in enumerate(jobs)]) == set()
    assert sum("UPDATE" in query["sql"] for query in queries) == 1
    assert len(queries) <= 3, "its transaction's edges and nothing else"
    assert [told.data for _, told in said] == [{"percent": number} for number in range(30)]
    kept = Job.objects.order_by("pk").values_list("progress", flat=True)
    assert list(kept) == [{"percent": number} for number in range(30)]


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite locks no rows")
def test_the_progress_of_a_job_that_somebody_holds_is_left_for_later(said: Said) -> None:
    job, held = enqueue(ECHO, Plan(), scope="test:1"), enqueue(ECHO, Plan(), scope="test:1")
    locked, done = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            lock([held.pk])
            locked.set()
            done.wait(30)
        connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        assert locked.wait(30)
        assert keep([(job, {"percent": 10}), (held, {"percent": 10})]) == {held.pk}
    finally:
        done.set()
        holder.join()
    assert [told.request_id for _, told in said] == [str(job.public_id)]
    assert keep([(held, {"percent": 20})]) == set()
    assert list(Job.objects.order_by("pk").values_list("progress", flat=True)) == [{"percent": 10}, {"percent": 20}]
