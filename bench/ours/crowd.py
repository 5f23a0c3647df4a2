"""Seven hundred people watch ten games on one web process: how soon each of them has what was committed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from django.db import transaction

from bench.jobtypes import SLEEP, Nap
from bench.measures import Measure, percentile
from bench.memory import peak
from bench.ours.people import games, member
from bench.ours.stack import running
from bench.submitting import Client
from bench.watchers import watch_by_socket, watch_by_stream
from games.models import Game
from jobs.events.ledger import ledger
from jobs.models import Job
from jobs.operations.enqueue import enqueue

GAMES = 10
SOCKETS = 500
STREAMS = 200
EVENTS = 200
PAUSE_SECONDS = 0.05
OPEN_SECONDS = 60
ARRIVE_SECONDS = 30


class Crowd:
    """Everybody who watches, and when what reached them."""

    def __init__(self, base_url: str) -> None:
        self.open = 0
        self.committed: dict[tuple[int, int], float] = {}
        self.arrived: list[tuple[tuple[int, int], float]] = []
        self._base_url = base_url

    async def watch(self, played: list[Game], clients: list[Client], jobs: list[Job]) -> None:
        """Let all of them in, commit events, and wait until everyone has had every one of them."""
        with ThreadPoolExecutor(1) as teller:
            watching = [asyncio.create_task(self._one(index, played, client)) for index, client in enumerate(clients)]
            await self._until(lambda: self.open == len(clients), OPEN_SECONDS, watching)
            loop = asyncio.get_running_loop()
            for number in range(EVENTS):
                await asyncio.sleep(PAUSE_SECONDS)
                await loop.run_in_executor(teller, self._tell, number % len(played), jobs[number % len(played)])
            expected = EVENTS * len(clients) // len(played)
            await self._until(lambda: len(self.arrived) >= expected, ARRIVE_SECONDS, watching)
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)

    @property
    def latencies(self) -> list[float]:
        return [max(at - self.committed[key], 0.0) for key, at in self.arrived if key in self.committed]

    async def _one(self, index: int, played: list[Game], client: Client) -> None:
        game = index % len(played)
        watch = watch_by_socket if index < SOCKETS else watch_by_stream
        await watch(self._base_url, played[game].pk, client.token, self._opened, self._note_of(game))

    def _opened(self) -> None:
        self.open += 1

    def _note_of(self, game: int) -> Callable[[int, float], None]:
        return lambda seq, at: self.arrived.append(((game, seq), at))

    def _tell(self, game: int, job: Job) -> None:
        with ledger() as book:
            book.tell(job, "game.state_updated", {"turn": 1, "changes": []})
            transaction.on_commit(lambda: self._committed(game, book.heads[job.scope_id or 0]))

    def _committed(self, game: int, seq: int) -> None:
        self.committed[game, seq] = time.perf_counter()

    @staticmethod
    async def _until(reached: Callable[[], bool], seconds: float, watching: list[asyncio.Task[None]]) -> None:
        async with asyncio.timeout(seconds):
            while not reached():
                for task in watching:
                    if task.done():
                        task.result()
                await asyncio.sleep(0.02)


def measure() -> list[Measure]:
    played = games(GAMES)
    clients = [member(f"watcher {index}", [played[index % GAMES]]) for index in range(SOCKETS + STREAMS)]
    with running("web", "worker", "scheduler") as stack:
        jobs = [enqueue(SLEEP, Nap(seconds=0), scope=game.scope_key) for game in played]
        crowd = Crowd(stack.base_url)
        with peak(stack.pid("web")) as memory:
            asyncio.run(crowd.watch(played, clients, jobs))
    many = f"{SOCKETS} sockets and {STREAMS} streams"
    return [
        *(
            Measure(f"commit to {many}, p{share}", percentile(crowd.latencies, share / 100) * 1000, "ms")
            for share in (50, 95, 99)
        ),
        Measure(f"web process with {many}: peak memory", memory.megabytes, "MB"),
    ]
