"""Waiting for what the queue does with a request, and looking at its queues."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from games.models import Game
from jobs.models import Job
from jobs.models_events import JobEvent
from jobs.states import Status
from jobs.streams import Row
from jobs.streams.rows import COLUMNS
from queueproject.testing.waiting import TIMEOUT_SECONDS, wait_until


def wait_for_completion(request_id: UUID | str, timeout: float = TIMEOUT_SECONDS) -> Job:
    """The request once it has ended, however it ended: look at ``request_status``, ``result`` and ``error``.

    ``AssertionError`` with its status if it has not within ``timeout`` seconds.
    """
    found: list[Job] = []

    def ended() -> bool:
        found[:] = Job.objects.filter(public_id=request_id)
        return bool(found) and found[0].ended

    try:
        wait_until(ended, timeout)
    except AssertionError:
        status = found[0].request_status.value if found else "unknown to the database"
        raise AssertionError(f"request {request_id} is {status} after {timeout} s") from None
    return found[0]


def wait_for_event(
    game: Game | UUID | str, event: str, timeout: float = TIMEOUT_SECONDS, *, after: int = 0
) -> dict[str, Any]:
    """The first event of this name in the game, numbered above ``after``, as a DM's socket would tell it."""
    pk = game.pk if isinstance(game, Game) else game
    rows = JobEvent.objects.filter(scope__key=f"game:{pk}", event=event, seq__gt=after).order_by("seq")
    values = wait_until(lambda: rows.values_list(*COLUMNS).first(), timeout, f"{event} in game {pk}")
    assert values is not None
    return Row(*values).frame(decider=True)


def queue_depth(queue: str) -> int:
    """How many jobs of this queue may run and wait for a worker: what ``queueproject_queue_depth`` tells."""
    return Job.objects.filter(queue=queue, status=Status.QUEUED).count()


def queue_empty(queue: str) -> bool:
    """Whether this queue has nothing left to do: no job of it is open, running and waiting ones included."""
    return not Job.objects.open().filter(queue=queue).exists()
