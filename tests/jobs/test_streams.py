"""Streams: whatever was written arrives once, in order, without a gap; with Redis at once, without it soon."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.conf import settings
from django.db import OperationalError
from redis import Redis

from accounts.threads import in_thread
from jobs.events.ledger import ledger
from jobs.models import Job
from jobs.models_events import JobEvent
from jobs.operations.enqueue import enqueue
from jobs.streams import Row, Stream, hub, scope_id
from jobs.streams.rows import read_rows
from jobs.transport import connect, group_name, transport
from tests import servers
from tests.jobs.kinds import ECHO, Plan
from tests.waiting import await_until

pytestmark = pytest.mark.django_db(transaction=True)

NEVER_SECONDS = 3600.0


@pytest.fixture
def job() -> Job:
    """A request whose scope has one event so far."""
    return enqueue(ECHO, Plan(), scope="test:stream")


def tell(job: Job, *texts: str, private: dict[str, Any] | None = None) -> None:
    """One transaction that tells of each text."""
    with ledger() as book:
        for text in texts:
            book.tell(job, "game.state_updated", {"text": text}, private=private)


async def take(stream: Stream, cursor: int, count: int, timeout: float = 10) -> list[Row]:
    """The next ``count`` events after ``cursor``."""
    rows: list[Row] = []
    async with asyncio.timeout(timeout):
        async for row in stream.follow(cursor):
            rows.append(row)
            if len(rows) == count:
                break
    return rows


def numbers(rows: list[Row]) -> list[int]:
    return [row.seq for row in rows]


def of(job: Job) -> int:
    assert job.scope_id is not None
    return job.scope_id


def channel(job: Job) -> str:
    return f"asgi__group__{group_name(of(job))}"


async def await_listeners(job: Job, count: int) -> None:
    """Until so many processes listen for the scope's wake-ups."""

    async def listeners() -> bool:
        with Redis.from_url(settings.CONFIG.redis_url) as client:
            return bool(client.pubsub_numsub(channel(job)) == [(channel(job).encode(), count)])

    await await_until(listeners, what=f"{count} listeners")


async def test_a_reader_gets_what_was_before_and_then_what_comes(job: Job) -> None:
    await in_thread(tell, job, "a", "b")
    async with hub().watch(of(job)) as watched:
        assert watched.head == 3
        assert numbers(await take(watched, 0, 3)) == [1, 2, 3]
        waiting = asyncio.create_task(take(watched, 3, 2))
        await in_thread(tell, job, "c", "d")
        assert [row.data for row in await waiting] == [{"text": "c"}, {"text": "d"}]
        assert await watched.after(watched.head) == []


async def test_what_many_write_at_once_reaches_every_reader_once_and_in_order(job: Job) -> None:
    texts = {f"{writer}.{turn}" for writer in range(4) for turn in range(25)}

    def write(writer: int) -> None:
        for turn in range(25):
            tell(job, f"{writer}.{turn}")

    async with hub().watch(of(job)) as watched:
        readers = [asyncio.create_task(take(watched, cursor, 101 - cursor, timeout=60)) for cursor in (0, 0, 1, 1)]
        await asyncio.gather(*(in_thread(write, writer) for writer in range(4)))
        for reader in readers:
            rows = await reader
            assert numbers(rows) == list(range(rows[0].seq, 102))
            assert {row.data["text"] for row in rows[-100:] if row.data} == texts


async def test_a_wakeup_brings_an_event_without_asking(job: Job, config: Callable[..., None]) -> None:
    config(follow_seconds=NEVER_SECONDS)
    async with hub().watch(of(job)) as watched:
        await await_listeners(job, 1)
        await in_thread(tell, job, "a")
        assert numbers(await take(watched, 1, 1)) == [2]


async def test_events_arrive_while_redis_is_away(job: Job, redis_server: servers.Redis) -> None:
    redis_server.stop()
    async with hub().watch(of(job)) as watched:
        await in_thread(tell, job, "a")
        assert numbers(await take(watched, 0, 2)) == [1, 2]


async def test_wakeups_come_again_after_redis_was_away(
    job: Job, redis_server: servers.Redis, config: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    config(follow_seconds=NEVER_SECONDS)

    async def noticed() -> bool:
        return "no wake-ups while Redis is away" in caplog.text

    async with hub().watch(of(job)) as watched:
        await await_listeners(job, 1)
        redis_server.stop()
        await await_until(noticed)
        redis_server.start()
        await await_listeners(job, 1)
        await in_thread(tell, job, "a")
        assert numbers(await take(watched, 1, 1)) == [2]
    assert "Traceback" not in caplog.text


async def test_a_scope_first_watched_while_redis_is_away_is_joined_later(
    job: Job, redis_server: servers.Redis, config: Callable[..., None]
) -> None:
    config(follow_seconds=NEVER_SECONDS)
    redis_server.stop()
    async with hub().watch(of(job)):
        await asyncio.sleep(0)
        redis_server.start()
        await await_listeners(job, 1)


async def test_false_wakeups_invent_nothing_and_stop_nothing(job: Job) -> None:
    async with hub().watch(of(job)) as watched:
        await await_listeners(job, 1)
        transport().send([], {of(job): 10**9})
        for garbage in (b"", b"\xc1", b"\x80", b"\x81\xa5scope\xa1x"):
            connect().publish(channel(job), garbage)
        await in_thread(tell, job, "a")
        assert numbers(await take(watched, 1, 1)) == [2]
        assert watched.head == 2


async def test_a_scope_is_forgotten_when_nobody_watches_it(job: Job) -> None:
    async with hub().watch(of(job)) as first:
        async with hub().watch(of(job)) as second:
            assert first is second
        await await_listeners(job, 1)
    await await_listeners(job, 0)
    async with hub().watch(of(job)) as third:
        assert third is not first


async def test_many_scopes_are_begun_with_one_question(job: Job) -> None:
    other = await in_thread(scope_id, "test:other")
    async with hub().watch_many([of(job), other]) as streams:
        assert {number: watched.head for number, watched in streams.items()} == {of(job): 1, other: 0}
    assert await in_thread(scope_id, "test:other") == other


async def test_new_events_are_read_once_however_many_watch(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[int] = []

    def counted(*args: int) -> list[Row]:
        reads.append(args[1])
        return read_rows(*args)

    monkeypatch.setattr("jobs.streams.stream.read_rows", counted)
    async with hub().watch(of(job)) as watched:
        readers = [asyncio.create_task(take(watched, 1, 3)) for _ in range(20)]
        await in_thread(tell, job, "a", "b", "c")
        assert [numbers(rows) for rows in await asyncio.gather(*readers)] == [[2, 3, 4]] * 20
    assert reads == [1]


async def test_older_events_come_by_page_and_meet_the_newest_without_a_gap(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.streams.stream.RECENT_ROWS", 3)
    async with hub().watch(of(job)) as watched:
        await in_thread(tell, job, *"abcdefgh")
        assert numbers(await take(watched, 1, 8)) == list(range(2, 10))
        assert numbers(await watched.after(2, limit=4)) == [3, 4, 5, 6]
        assert numbers(await watched.after(6, limit=2)) == [7, 8]


async def test_who_follows_past_events_that_are_gone_asks_once_and_gets_those_that_come(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def counted(scope: int, cursor: int, limit: int) -> list[Row]:
        asked.append(cursor)
        return read_rows(scope, cursor, limit)

    await in_thread(tell, job, "a", "b")
    await in_thread(JobEvent.objects.all().delete)
    monkeypatch.setattr("jobs.streams.stream.read_rows", counted)
    async with hub().watch(of(job)) as stream:
        taking = asyncio.create_task(take(stream, 0, 1))
        await await_until(lambda: in_thread(lambda: bool(asked)), timeout=10)
        await in_thread(tell, job, "c")
        assert numbers(await taking) == [4]
    assert asked.count(0) == 1


async def test_a_database_that_stumbles_delays_events_and_loses_none(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    failures = iter([True, True])

    def stumbling(*args: int) -> list[Row]:
        if next(failures, False):
            raise OperationalError("gone for a moment")
        return read_rows(*args)

    monkeypatch.setattr("jobs.streams.stream.read_rows", stumbling)
    async with hub().watch(of(job)) as watched:
        await in_thread(tell, job, "a")
        assert numbers(await take(watched, 1, 1)) == [2]
        assert numbers(await take(watched, 0, 2)) == [1, 2]


async def test_refresh_knows_what_nobody_has_told(
    job: Job, redis_server: servers.Redis, config: Callable[..., None]
) -> None:
    config(follow_seconds=NEVER_SECONDS)
    redis_server.stop()
    async with hub().watch(of(job)) as watched:
        await in_thread(tell, job, "a")
        assert watched.head == 1
        await watched.refresh()
        assert watched.head == 2


async def test_only_deciders_see_what_is_private_and_hidden_events_keep_their_number(job: Job) -> None:
    await in_thread(partial(tell, private={"draft": "b"}), job, "a")
    async with hub().watch(of(job)) as watched:
        (row,) = await watched.after(1)
    frame = row.frame(decider=False)
    assert frame.keys() == {"seq", "event", "request_id", "kind", "status", "at", "data"}
    assert (frame["request_id"], frame["data"]) == (str(job.public_id), {"text": "a"})
    assert row.frame(decider=True) == {**frame, "private": {"draft": "b"}}
    secret = Row(1, 7, "approval.undone", None, "", "", row.at, None, {"by": "dm"})
    assert secret.frame(decider=False) == {"seq": 7, "event": "hidden"}
    assert secret.frame(decider=True)["private"] == {"by": "dm"}
