"""From a DM's POST to the events at a player's socket, nothing else going on."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Mapping

from websockets.asyncio.client import ClientConnection, connect

from bench.http import Connection
from bench.measures import Measure, latencies
from bench.ours.people import games, member
from bench.ours.stack import running
from bench.submitting import TEXT, Client
from games.models import Game, Role
from tests.processes import Stack

COUNT = 150
UNCOUNTED = 10
PAUSE_SECONDS = (0.03, 0.06)
DEADLINE_SECONDS = 60
QUEUED, LAST = "request.queued", "request.completed"


def measure() -> list[Measure]:
    (game,) = games(1)
    player, dm = member("player", [game]), member("dm", [game], Role.DM)
    with running("web", "worker", "scheduler") as stack:
        seen = asyncio.run(_watch(stack, game, player, dm))[UNCOUNTED:]
    return [
        measure
        for event in (QUEUED, LAST)
        for measure in latencies(f"submit to {event} at a socket", [each[event] for each in seen])
    ]


async def _watch(stack: Stack, game: Game, player: Client, dm: Client) -> list[Mapping[str, float]]:
    headers = {"Authorization": f"Bearer {player.token}"}
    address = f"{stack.ws_url}/ws/games/{game.pk}/"
    async with (
        asyncio.timeout(DEADLINE_SECONDS),
        connect(address, additional_headers=headers, compression=None) as socket,
        Connection.open(stack.base_url, dm.token) as connection,
    ):
        welcome = json.loads(await socket.recv())
        await socket.send(json.dumps({"type": "hello", "cursor": welcome["head"]}))
        return [await _one(socket, connection, dm.paths[0]) for _ in range(UNCOUNTED + COUNT)]


async def _one(socket: ClientConnection, connection: Connection, path: str) -> dict[str, float]:
    """Seconds from sending an action to each of its events."""
    await asyncio.sleep(random.uniform(*PAUSE_SECONDS))
    async with asyncio.TaskGroup() as tasks:
        events = tasks.create_task(_events(socket, time.perf_counter()))
        tasks.create_task(connection.post(path, {"text": TEXT}))
    return events.result()


async def _events(socket: ClientConnection, since: float) -> dict[str, float]:
    seen: dict[str, float] = {}
    while LAST not in seen:
        frame = json.loads(await socket.recv())
        seen[frame["event"]] = time.perf_counter() - since
    await socket.send(json.dumps({"type": "seen", "seq": frame["seq"]}))
    return seen
