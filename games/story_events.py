"""What happens in a story by itself: events of the scenario that a turn sets off, and those that wait to be told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from accounts import audit
from games.jobtypes import STORY_EVENT, StoryEvent
from games.models import Game, Happened
from games.scenarios.document import Event
from games.scene import most_room, taken
from jobs.errors import Refused
from jobs.events.ledger import ledger
from jobs.models import Job, JobQuerySet
from jobs.operations import controls
from jobs.operations.enqueue import enqueue
from jobs.operations.operator import Operator

if TYPE_CHECKING:
    from jobs.context import JobContext

audit.register_action("story_events.cleared")

SHARE = 4
"""Events that are told together take at most this part of a prompt's room: the state may take another."""


def set_off(ctx: JobContext, game: Game) -> None:
    """Queue what is due after the turn just taken, behind what is already in the game's line.

    It is one request, or more where one prompt could not hold it all. Belongs into the turn's own transaction, with the
    game's row and lane locked: so each event happens once.
    """
    # Refused: the queue is full. The turn is told all the same, and what was not queued is due after the next one.
    with suppress(Refused):
        for events in _together(_due(game)):
            _queue(ctx, game, events)


def _queue(ctx: JobContext, game: Game, events: Sequence[Event]) -> None:
    about = StoryEvent(
        game_id=game.pk, text=", ".join(event.title for event in events), events=[event.id for event in events]
    )
    job = enqueue(STORY_EVENT, about, scope=game.scope_key, ordering_key=game.scope_key)
    _remember(game, events, job)
    told = {"turn": game.turn, "count": len(events), "request_id": str(job.public_id)}
    ctx.emit("story.triggered", told, private={"events": about.events})


def _together(due: Sequence[Event]) -> Iterator[list[Event]]:
    """These events in their order, as many at once as take no more than their share of a prompt."""
    batch: list[Event] = []
    left = most = most_room() // SHARE
    for event in due:
        size = sum(map(taken, (event.id, event.title, event.prompt)))
        if batch and size > left:
            yield batch
            batch, left = [], most
        batch.append(event)
        left -= size
    if batch:
        yield batch


def _due(game: Game) -> list[Event]:
    events = game.scenario.document.events if game.scenario else []
    last = dict(game.happened.values_list("event", "last_turn")) if events else {}
    return [event for event in events if event.due(game.state, game.turn, last.get(event.id))]


def _remember(game: Game, due: Sequence[Event], job: Job) -> None:
    known = {row.event: row for row in game.happened.filter(event__in=[event.id for event in due])}
    for event in due:
        row = known.get(event.id) or Happened(game=game, event=event.id, times=0)
        row.times, row.last_turn, row.request = row.times + 1, game.turn, job.public_id
        row.save()


def waiting(game: Game) -> JobQuerySet:
    """The requests of story events that nobody has begun to tell, in their order."""
    found = Job.objects.not_begun().in_scope(game.scope_key).filter(type=STORY_EVENT.name)
    return found.order_by("place", "pk")


def peek(game: Game, *, limit: int) -> list[dict[str, Any]]:
    """The first of them: request, ids, titles and prompts."""
    prompts = {event.id: event.prompt for event in game.scenario.document.events} if game.scenario else {}
    return [
        {
            "request_id": job.public_id,
            "text": job.payload["text"],
            "events": job.payload["events"],
            "prompts": [prompts[event] for event in job.payload["events"] if event in prompts],
            "queued_at": job.created_at,
        }
        for job in waiting(game)[:limit]
    ]


def clear(game: Game, *, by: Operator) -> int:
    """Call off what waits; how many requests. What is being told already goes on, and what happened once stays so."""
    with ledger(lanes=[game.scope_key]):
        # Locked as they are counted, so that none of them begins or ends before it is called off.
        untold = waiting(game).select_for_update(of=("self",)).order_by("pk")
        ids = list(untold.values_list("pk", flat=True))
        for pk in reversed(ids):  # the last first: none is let go ahead only to be called off
            controls.cancel(pk)
        by.record("story_events.cleared", game, game=game.name, count=len(ids))
    return len(ids)
