"""Where event streams of games are, and how each begins."""

from __future__ import annotations

from games.models import Game
from jobs.models import Job
from tests.sse import Streaming

START = "last_event_id=0"


def of_game(game: Game) -> str:
    return f"/v1/events/games/{game.pk}"


def of_request(job: Job) -> str:
    return f"/v1/events/requests/{job.public_id}"


async def begun(stream: Streaming) -> Streaming:
    assert (stream.status, stream.headers["content-type"]) == (200, "text/event-stream")
    assert (await stream.block()).retry == 1000
    return stream
