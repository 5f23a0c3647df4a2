"""Passing events: they reach who watches now, never hold anything up, and show drafts to those who decide only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from channels.layers import get_channel_layer
from redis import Redis

from accounts.threads import in_thread
from jobs.embedded import Embedded
from jobs.ephemeral import Chunks, Ephemeral
from jobs.models import Job
from jobs.models_events import JobEvent
from jobs.operations.enqueue import enqueue
from jobs.states import Status
from jobs.streams import hub, scope_id
from jobs.streams.stream import INBOX_ITEMS
from jobs.transport import transport
from tests import servers
from tests.jobs.kinds import ECHO, SPEAK, Plan
from tests.jobs.test_streams import await_listeners, channel, of
from tests.processes import Stack
from tests.waiting import await_until

pytestmark = pytest.mark.django_db(transaction=True)


def passing(number: int = 0, *, deciders_only: bool = False) -> Ephemeral:
    return Ephemeral(event="progress", request_id="r", kind="k", data={"number": number}, deciders_only=deciders_only)


@pytest.fixture
def job() -> Job:
    return enqueue(ECHO, Plan(), scope="test:stream")


async def test_what_is_said_reaches_every_listener_and_is_not_kept(job: Job) -> None:
    async with hub().watch(of(job)) as stream:
        await await_listeners(job, 1)
        with stream.listen() as one, stream.listen() as two:
            assert await in_thread(transport().say, [(of(job), passing(1)), (of(job), passing(2, deciders_only=True))])
            for inbox in (one, two):
                first, second = [await asyncio.wait_for(inbox.get(), 10) for _ in range(2)]
                assert (first, second) == (passing(1), passing(2, deciders_only=True))
        assert stream.head == 1
    assert await in_thread(JobEvent.objects.exclude(seq=None).count) == 1


async def test_a_listener_who_does_not_read_misses_what_comes_and_holds_up_nobody(job: Job) -> None:
    async with hub().watch(of(job)) as stream:
        with stream.listen() as idle, stream.listen() as busy:
            for number in range(INBOX_ITEMS + 10):
                stream.pass_on(passing(number))
                assert (await busy.get()).data["number"] == number
            assert idle.qsize() == INBOX_ITEMS
            assert (await idle.get()).data["number"] == 0


async def test_garbage_is_passed_over(job: Job, redis_server: servers.Redis) -> None:
    layer: Any = get_channel_layer()
    async with hub().watch(of(job)) as stream:
        await await_listeners(job, 1)
        with stream.listen() as inbox, Redis.from_url(redis_server.url) as client:
            for wrong in ({"event": "request.completed"}, {"data": 7}, {"scope": "x"}, {"request_id": None}):
                message = passing().message(of(job)) | wrong
                client.publish(channel(job), layer.serialize(message))

            async def heard() -> bool:
                await in_thread(transport().say, [(of(job), passing(5))])
                return not inbox.empty()

            await await_until(heard)
            said = [inbox.get_nowait().data["number"] for _ in range(inbox.qsize())]
            assert said[-1] == 5
            assert set(said) <= {0, 5}


def test_without_redis_nothing_is_said_and_nobody_waits(job: Job, redis_server: servers.Redis) -> None:
    redis_server.stop()
    assert not transport().say([(of(job), passing())])
    assert not transport().say([(of(job), passing())])


def test_an_event_that_the_vocabulary_lacks_is_a_mistake() -> None:
    with pytest.raises(LookupError, match=r"chat\.chnk"):
        Ephemeral(event="chat.chnk", request_id=None, data={}, deciders_only=False)


def test_a_frame_has_no_number() -> None:
    frame = passing(3).frame()
    assert frame.pop("at").endswith("Z")
    assert frame == {"event": "progress", "request_id": "r", "kind": "k", "data": {"number": 3}}


def test_what_was_added_since_the_last_look_is_one_chunk() -> None:
    chunks = Chunks(request_id="r", kind="chat", attempt=2)
    assert chunks.take() is None
    chunks.add("The ", done=False, deciders_only=False)
    chunks.add("door", done=False, deciders_only=False)
    first = chunks.take()
    chunks.add(" opens.", done=True, deciders_only=False)
    second = chunks.take()
    assert first is not None
    assert second is not None
    assert first.data == {"attempt": 2, "index": 0, "content": "The door", "done": False}
    assert second.data == {"attempt": 2, "index": 1, "content": " opens.", "done": True}
    assert chunks.take() is None


def test_once_a_draft_was_for_deciders_all_of_it_is() -> None:
    chunks = Chunks(request_id="r", kind="chat", attempt=1)
    chunks.add("a", done=False, deciders_only=True)
    chunks.add("b", done=False, deciders_only=False)
    told = chunks.take()
    assert told is not None
    assert told.deciders_only


@pytest.mark.integration
async def test_what_a_handler_streams_arrives_joined_while_it_runs(stack: Stack) -> None:
    """From a real worker's event loop: forty words in two seconds come as at most one chunk in a tenth of a second."""
    await in_thread(partial(stack.start, "worker", CHUNK_SECONDS="0.1"))
    words = " ".join(f"word{number}" for number in range(40))
    scope = await in_thread(scope_id, "test:speech")
    async with hub().watch(scope) as stream:
        with stream.listen() as inbox:
            job = await in_thread(partial(enqueue, SPEAK, Plan(text=words, seconds=0.05), scope="test:speech"))
            heard = [await asyncio.wait_for(inbox.get(), 60)]
            assert await in_thread(status, job) == Status.RUNNING
            while not heard[-1].data["done"]:
                heard.append(await asyncio.wait_for(inbox.get(), 30))
    assert "".join(each.data["content"] for each in heard).split() == words.split()
    assert [each.data["index"] for each in heard] == list(range(len(heard)))
    assert 2 < len(heard) < 35
    assert {(each.request_id, each.kind, each.data["attempt"]) for each in heard} == {
        (str(job.public_id), "test_speak", 1)
    }


def status(job: Job) -> str:
    return Job.objects.values_list("status", flat=True).get(pk=job.pk)


async def test_the_last_of_a_text_is_told_at_once(job: Job, config: Callable[..., None]) -> None:
    config(chunk_seconds=60)
    async with hub().watch(of(job)) as stream:
        await await_listeners(job, 1)
        with stream.listen() as inbox:
            embedded = await in_thread(Embedded(slots=1).start)
            try:
                await in_thread(partial(enqueue, SPEAK, Plan(text="The door opens", seconds=0.05), scope="test:stream"))
                first, last = [(await asyncio.wait_for(inbox.get(), 20)).data for _ in range(2)]
            finally:
                await in_thread(embedded.stop)
    assert first["content"] + last["content"] == "The door opens "
    assert last["done"]
