"""The transport that never leaves its process: lists, and a channel layer that threads speak to."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

from pytest_django import Settings

from jobs.ephemeral import Ephemeral
from jobs.memory_layer import MemoryLayer
from jobs.memory_transport import MemoryTransport
from jobs.transport import Push, Ticket, Transport, group_name
from tests.waiting import await_until

LONG_SECONDS = 20.0


def tickets(*ids: int) -> list[Ticket]:
    return [Ticket(pk, 0) for pk in ids]


def pushed(queue: str, *ids: int, front: bool = False) -> list[Push]:
    return [Push(queue, ticket, front) for ticket in tickets(*ids)]


def test_tickets_come_in_order_and_those_for_the_front_first() -> None:
    carrier = MemoryTransport()
    same: Transport = carrier
    assert same.send(pushed("a", 1, 2), {})
    assert same.send(pushed("a", 3, front=True), {})
    assert same.length("a") == 3
    assert carrier.pop(["a"], 2, 0) == tickets(3, 1)
    same.empty("a")
    assert carrier.pop(["a"], 2, 0) == []


def test_each_queue_gives_in_turn_and_none_gives_to_others() -> None:
    carrier = MemoryTransport()
    carrier.send([*pushed("a", 1, 2, 3), *pushed("b", 4), *pushed("c", 5)], {})
    assert sorted(carrier.pop(["a", "b"], 3, 0)) == tickets(1, 2, 4)
    assert carrier.pop(["a", "b"], 9, 0) == tickets(3)


def test_no_queue_is_always_last() -> None:
    carrier = MemoryTransport()
    carrier.send([*pushed("a", *range(100)), *pushed("b", 100)], {})
    assert tickets(100)[0] in [carrier.pop(["a", "b"], 1, 0)[0] for _ in range(40)]


def test_who_waits_is_woken_by_a_ticket() -> None:
    carrier = MemoryTransport()
    threading.Timer(0.05, carrier.send, (pushed("a", 1), {})).start()
    began = time.monotonic()
    assert carrier.pop(["a"], 1, LONG_SECONDS) == tickets(1)
    assert time.monotonic() - began < LONG_SECONDS / 2


def test_a_list_is_full_at_the_window(config: Callable[..., None]) -> None:
    config(ticket_window=2)
    carrier = MemoryTransport()
    carrier.send(pushed("a", 1), {})
    assert not carrier.full("a")
    carrier.send(pushed("a", 2), {})
    assert carrier.full("a")


async def test_threads_tell_those_who_listen_on_an_event_loop(settings: Settings) -> None:
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "jobs.memory_layer.MemoryLayer"}}
    from channels.layers import get_channel_layer

    layer = get_channel_layer()
    assert isinstance(layer, MemoryLayer)
    heard = asyncio.create_task(layer.receive("here"))
    await layer.group_add(group_name(1), "here")
    await await_until(lambda: asyncio.sleep(0, result="here" in layer.channels))
    told = Ephemeral(event="progress", request_id=None, data={"percent": 10}, deciders_only=False)
    thread = threading.Thread(target=MemoryTransport().say, args=([(1, told)],))
    thread.start()
    assert (await asyncio.wait_for(heard, LONG_SECONDS))["data"] == {"percent": 10}
    thread.join()


async def test_who_does_not_keep_up_misses_what_comes_then_and_holds_nobody_up() -> None:
    layer = MemoryLayer(capacity=3)
    listening = asyncio.create_task(layer.receive("here"))
    await layer.group_add("news", "here")
    await asyncio.sleep(0)
    for number in range(10):
        layer.publish("news", {"type": "head", "number": number})
    assert (await listening)["number"] == 0
    await asyncio.sleep(0)
    assert [(await layer.receive("here"))["number"] for _ in range(2)] == [1, 2]


def test_one_whose_loop_has_ended_is_passed_over() -> None:
    layer = MemoryLayer()

    async def listen() -> None:
        listening = asyncio.create_task(layer.receive("here"))
        await layer.group_add("news", "here")
        await asyncio.sleep(0)
        listening.cancel()

    asyncio.run(listen())
    layer.publish("news", {"type": "head"})
    layer.publish("nobody", {"type": "head"})
