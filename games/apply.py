"""An action takes effect: the turn, the state and the event of it, in the transaction of a ``ctx.commit``."""

from __future__ import annotations

import json
from collections.abc import Sequence

from django.conf import settings
from pydantic import BaseModel

from games.jobtypes import Applied, Chat, DmAction, PlayerAction
from games.models import Game, Turn
from games.words import value_text
from jobs.changes import Change, ChangeError, State, conflicts, with_was
from jobs.changes import apply as applied
from jobs.context import JobContext
from jobs.errors import PermanentError
from jobs.models import Job
from jobs.results import Ruling


class DoesNotFit(PermanentError):
    """The changes can't be made to the state as it is now; ``detail`` names each path with its current value."""


class StateChanged(BaseModel):
    """Nothing was applied: the ruling does not fit the state any more. ``reason`` is for whoever drafts again."""

    reason: str


def apply_ruling(ctx: JobContext, action: PlayerAction | Chat, ruling: Ruling, seen: State) -> Applied | StateChanged:
    """Make of an accepted ruling a turn, unless the state moved on since it was ``seen`` by whoever drafted."""
    game = _locked(action)
    try:
        return _advance(ctx, game, action.text, ruling.text, with_was(ruling.changes, seen))
    except DoesNotFit as misfit:
        return StateChanged(reason=_reason(misfit, ruling))


def apply_action(ctx: JobContext, action: DmAction) -> Applied:
    """Make a DM's own words and changes a turn. ``DoesNotFit``: the state is no longer what the DM saw."""
    return _advance(ctx, _locked(action), "", action.text, action.changes)


def _locked(action: PlayerAction | Chat | DmAction) -> Game:
    game = Game.objects.select_for_update().filter(pk=action.game_id).first()
    if game is None:
        raise PermanentError("game_gone", "the game no longer exists")
    return game


def _advance(ctx: JobContext, game: Game, text: str, narration: str, changes: Sequence[Change]) -> Applied:
    state = _next_state(game, changes)
    outcome = Applied(turn=game.turn + 1, narration=narration, changes=with_was(changes, game.state))
    told = outcome.model_dump(mode="json")
    if len(json.dumps(told)) > settings.CONFIG.payload_bytes:
        raise PermanentError("result_too_large", f"the turn is over {settings.CONFIG.payload_bytes} bytes")
    game.turn, game.state, game.state_version = outcome.turn, state, game.state_version + 1
    game.save(update_fields=["turn", "state", "state_version"])
    request = Job.objects.get(public_id=ctx.request_id)
    Turn.objects.create(
        game=game,
        number=outcome.turn,
        kind=request.type,
        actor_id=request.owner_id,
        action=text,
        narration=narration,
        changes=told["changes"],
        request=request.public_id,
    )
    ctx.emit("game.state_updated", {"turn": outcome.turn, "changes": told["changes"]})
    return outcome


def _next_state(game: Game, changes: Sequence[Change]) -> State:
    if moved := conflicts(changes, game.state):
        places = (f"{at['path']} is now {value_text(at['now'])} (was {value_text(at['was'])})" for at in moved)
        raise DoesNotFit("state_changed", f"The state has changed: {'; '.join(places)}.")
    try:
        state = applied(changes, game.state)
    except ChangeError as error:
        raise DoesNotFit("unfit_change", f"The change does not fit the state: {error}.") from error
    if len(json.dumps(state)) > state_bytes():
        raise DoesNotFit("state_too_large", f"The state would be larger than {state_bytes()} bytes.")
    return state


def state_bytes() -> int:
    """The largest state, as JSON: it must fit into a prompt beside the action and the scene."""
    return int(settings.CONFIG.payload_bytes) // 4


def _reason(misfit: DoesNotFit, ruling: Ruling) -> str:
    if ruling.decision == "accept":
        return misfit.detail
    return f"{misfit.detail} The DM's own words, to be kept as far as they still hold: {ruling.text}"
