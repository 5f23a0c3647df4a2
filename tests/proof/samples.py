"""A request of every job type, for ``replay_check``: how it is asked for, and what of it must always be the same.

A new job type gets its sample here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from uuid6 import uuid7

from approvals.models import Approval
from approvals.operations import decide
from games.jobtypes import CHRONICLE, CHRONICLE_NIGHT, STORY_EVENT, Chronicle, Night, StoryEvent
from games.models import Game, Membership, Role, Turn
from games.operations import act, chat
from generation.jobtypes import LLM_REASON
from generation.prompts import Prompt
from jobs.jobtypes import ALERT, AlertMessage
from jobs.models import Job
from jobs.models_events import JobEvent
from jobs.models_workflows import Confirmation
from jobs.operations.confirmations import confirm
from jobs.operations.enqueue import enqueue
from jobs.testing import steps_of
from tests.cast import STATE, Cast

Ask = Callable[[Cast], Job]


def new_game(cast: Cast, turns: int = 0) -> Game:
    """Each run has a game of its own, in which so much has happened."""
    game = Game.objects.create(name="The Well", opening="A well.", state=STATE, turn=turns)
    Membership.objects.create(game=game, user=cast.player1)
    Membership.objects.create(game=game, user=cast.dm, role=Role.DM)
    for number in range(1, turns + 1):
        told = {"actor": cast.player1, "action": "I look", "narration": f"Look {number}.", "kind": "player_action"}
        Turn.objects.create(game=game, number=number, request=uuid7(), **told)
    return game


def player_action(cast: Cast) -> Job:
    return act(user=cast.player1, game=new_game(cast), text="I open the cellar door")


def dm_action(cast: Cast) -> Job:
    return act(user=cast.dm, game=new_game(cast), text="It rains", changes=[{"path": "clock", "op": "set", "value": 4}])


def chatted(cast: Cast) -> Job:
    return chat(user=cast.player1, game=new_game(cast), text="What do I see?")


def story_event(cast: Cast) -> Job:
    game = new_game(cast)
    about = StoryEvent(game_id=game.pk, text="A knock", events=["knock"])
    return enqueue(STORY_EVENT, about, scope=game.scope_key, ordering_key=game.scope_key)


def chronicle(cast: Cast) -> Job:
    return enqueue(CHRONICLE, Chronicle(), owner=cast.dm, scope=new_game(cast, turns=2).scope_key)


def night(cast: Cast) -> Job:
    new_game(cast, turns=2)
    return enqueue(CHRONICLE_NIGHT, Night())


def alert(cast: Cast) -> Job:
    told = {"alert": "oldest", "subject": "llm", "detail": "late", "opened_at": "2026-01-01T00:00:00Z"}
    return enqueue(ALERT, AlertMessage(incident=1, way="email", **told))


def llm_reason(cast: Cast) -> Job:
    return enqueue(
        LLM_REASON, Prompt.model_validate({"scene": "A well.", "state": {}, "actor": "Ann", "action": "I look"})
    )


SAMPLES: dict[str, Ask] = {
    "player_action": player_action,
    "dm_action": dm_action,
    "chat": chatted,
    "story_event": story_event,
    "chronicle": chronicle,
    "chronicle_night": night,
    "alert": alert,
    "llm_reason": llm_reason,
}


def answer(cast: Cast) -> bool:
    """The DM accepts, and confirms, whatever is asked; ``False`` when nothing is."""
    for approval in Approval.objects.filter(status="pending"):
        decide(user=cast.dm, approval_id=approval.pk, version=approval.version, decision="accept")
        return True
    for asked in Confirmation.objects.filter(state="open").select_related("job"):
        confirm(user=cast.dm, request_id=asked.job.public_id)
        return True
    return False


def described(job: Job) -> dict[str, Any]:
    """The request's end, everything it did, and what those who watch were told, in order."""
    told = JobEvent.objects.filter(scope=job.scope, scope__isnull=False).order_by("seq")
    game = UUID(job.scope.key.removeprefix("game:")) if job.scope else None
    return {
        "end": (job.status, job.outcome, job.error),
        "result": job.result,
        "steps": sorted(steps_of(job)),
        "told": list(told.values_list("seq", "event", "status")),
        "turns": Turn.objects.filter(game=game).count() if game else 0,
    }
