"""The submit workloads: what clients of the HTTP API wait for, the same for every system.

The first request of every connection is not counted.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import cycle
from types import MappingProxyType
from typing import NamedTuple

from bench.http import Connection
from bench.measures import Measure, latencies

ALONE_SECONDS = 10.0
ALONE_PAUSE_SECONDS = (0.02, 0.04)
PACED_SECONDS = 15.0
PACE_SECONDS = 1.0
UNPACED_SECONDS = 5.0
TEXT = "I lift the lantern, step over the broken stair and look for whatever knocks down there."


class Client(NamedTuple):
    """Someone who acts: with this token, at these paths in turn, by sending this."""

    token: str
    paths: Sequence[str]
    body: Mapping[str, str] = MappingProxyType({"text": TEXT})


class Player:
    """A client with its connection."""

    def __init__(self, connection: Connection, client: Client) -> None:
        self._connection = connection
        self._paths = cycle(client.paths)
        self._body = dict(client.body)

    async def act(self) -> float:
        """Submit once; seconds from sending the request to having read the answer."""
        started = time.perf_counter()
        await self._connection.post(next(self._paths), self._body)
        return time.perf_counter() - started


def measure_paced(base_url: str, clients: Sequence[Client], what: str) -> list[Measure]:
    """Many at a human pace."""
    return asyncio.run(_measure_paced(base_url, clients, what))


async def _measure_paced(base_url: str, clients: Sequence[Client], what: str) -> list[Measure]:
    async with _connected(base_url, clients) as players:
        paced = await asyncio.gather(*(_paced(player) for player in players))
    return latencies(f"{what}, {len(clients)} clients", [seconds for each in paced for seconds in each])


def measure_submit(base_url: str, client: Client, clients: Sequence[Client]) -> list[Measure]:
    """One client alone; many at a human pace; the same many as fast as they get answers."""
    return asyncio.run(_measure(base_url, client, clients))


async def _measure(base_url: str, client: Client, clients: Sequence[Client]) -> list[Measure]:
    async with _connected(base_url, [client]) as (player,):
        alone = await _alone(player)
    async with _connected(base_url, clients) as players:
        paced = await asyncio.gather(*(_paced(player) for player in players))
        started = time.perf_counter()
        counts = await asyncio.gather(*(_unpaced(player) for player in players))
        per_second = sum(counts) / (time.perf_counter() - started)
    many = f"{len(clients)} clients"
    return [
        *latencies("submit, 1 client", alone),
        *latencies(f"submit, {many}", [seconds for each in paced for seconds in each]),
        Measure(f"submits without pause, {many}", per_second, "/s", "higher"),
    ]


@asynccontextmanager
async def _connected(base_url: str, clients: Sequence[Client]) -> AsyncIterator[list[Player]]:
    async with AsyncExitStack() as connections:
        players = [
            Player(await connections.enter_async_context(Connection.open(base_url, client.token)), client)
            for client in clients
        ]
        for player in players:
            await player.act()
        yield players


async def _alone(player: Player) -> list[float]:
    durations = []
    ends_at = time.perf_counter() + ALONE_SECONDS
    while time.perf_counter() < ends_at:
        await asyncio.sleep(random.uniform(*ALONE_PAUSE_SECONDS))
        durations.append(await player.act())
    return durations


async def _paced(player: Player) -> list[float]:
    """An action in every second, at a moment of the player's own."""
    durations = []
    due = time.perf_counter() + random.uniform(0, PACE_SECONDS)
    ends_at = time.perf_counter() + PACED_SECONDS
    while due < ends_at:
        await asyncio.sleep(due - time.perf_counter())
        durations.append(await player.act())
        due = max(due + PACE_SECONDS, time.perf_counter())
    return durations


async def _unpaced(player: Player) -> int:
    count = 0
    ends_at = time.perf_counter() + UNPACED_SECONDS
    while time.perf_counter() < ends_at:
        await player.act()
        count += 1
    return count
