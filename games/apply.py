"""An action takes effect: the turn, the state and the event of it, in the transaction of a ``ctx.commit``."""

from __future__ import annotations

import json
from collections.abc import Sequence

from django.conf import settings
from pydantic import BaseModel

from games.jobtypes import STORY_EVENT, Applied, DmAction, StoryEvent, Told
from games.models import Game, Turn
from games.story_events import set_off
from games.words import value_text
from jobs.changes import Change, ChangeError, State, conflicts, with_was
from jobs.changes import apply as applied
from jobs.context import JobContext
from jobs.errors import PermanentError
from jobs.results import Ruling
from jobs.state_schema import Breach, broken

MOST_PLACES = 5


class DoesNotFit(PermanentError):
    """The changes can't be made to the state as it is now; ``detail`` names each path with its current value."""


class StateChanged(BaseModel):
    """Nothing was applied: the ruling does not fit the state any more. ``reason`` is for whoever drafts again."""

    reason: str


def apply_ruling(
    ctx: JobContext, asked: Told, ruling: Ruling, seen: State, notes: Sequence[str]
) -> Applied | StateChanged:
    """Make of an accepted ruling a turn, unless the state moved on since it was ``seen`` by whoever drafted.

    ``notes`` say what of the draft was left out, and are kept with the turn.
    """
    game = _locked(asked)
    said = "" if isinstance(asked, StoryEvent) else asked.text
    try:
        return _advance(ctx, game, said, ruling.text, with_was(ruling.changes, seen), notes)
    except DoesNotFit as misfit:
        return StateChanged(reason=_reason(misfit, ruling))


def apply_action(ctx: JobContext, action: DmAction) -> Applied:
    """Make a DM's own words and changes a turn. ``DoesNotFit``: the state is no longer what the DM saw."""
    return _advance(ctx, _locked(action), "", action.text, action.changes)


def _locked(asked: Told | DmAction) -> Game:
    locked = Game.objects.select_for_update(of=("self",)).select_related("scenario")
    game = locked.filter(pk=asked.game_id).first()
    if game is None:
        raise PermanentError("game_gone", "the game no longer exists")
    return game


def _advance(
    ctx: JobContext, game: Game, text: str, narration: str, changes: Sequence[Change], notes: Sequence[str] = ()
) -> Applied:
    state = _next_state(game, changes)
    outcome = Applied(turn=game.turn + 1, narration=narration, changes=with_was(changes, game.state))
    told = outcome.model_dump(mode="json")
    if len(json.dumps(told)) > settings.CONFIG.payload_bytes:
        raise PermanentError("result_too_large", f"the turn is over {settings.CONFIG.payload_bytes} bytes")
    game.turn, game.state, game.state_version = outcome.turn, state, game.state_version + 1
    game.save(update_fields=["turn", "state", "state_version"])
    request = ctx.root
    Turn.objects.create(
        game=game,
        number=outcome.turn,
        kind=request.type,
        actor_id=request.owner_id,
        action=text,
        narration=narration,
        changes=told["changes"],
        notes=list(notes),
        request=request.public_id,
    )
    private = {"notes": list(notes)} if notes else None
    ctx.emit("game.state_updated", {"turn": outcome.turn, "changes": told["changes"]}, private=private)
    if request.type != STORY_EVENT.name:  # Events set off none themselves: a story must not run away with itself.
        set_off(ctx, game)
    return outcome


def _next_state(game: Game, changes: Sequence[Change]) -> State:
    if moved := conflicts(changes, game.state):
        places = (f"{at['path']} is now {value_text(at['now'])} (was {value_text(at['was'])})" for at in moved)
        raise DoesNotFit("state_changed", f"The state has changed: {'; '.join(places)}.")
    try:
        state = applied(changes, game.state)
    except ChangeError as error:
        raise DoesNotFit("unfit_change", f"The change does not fit the state: {error}.") from error
    if game.scenario and (wrong := broken(state, game.state, game.scenario.document.state_schema)):
        raise DoesNotFit("breaks_schema", f"The state would not be as the scenario says: {_places(wrong)}.")
    if len(json.dumps(state)) > max(state_bytes(), len(json.dumps(game.state))):
        raise DoesNotFit("state_too_large", f"The state would be larger than {state_bytes()} bytes.")
    return state


def _places(wrong: Sequence[Breach]) -> str:
    return "; ".join(f"{breach.path}: {breach.reason}" for breach in wrong[:MOST_PLACES])


def state_bytes() -> int:
    """The largest state, as JSON: it must fit into a prompt beside the action and the scene."""
    return int(settings.CONFIG.payload_bytes) // 4


def _reason(misfit: DoesNotFit, ruling: Ruling) -> str:
    if ruling.decision == "accept":
        return misfit.detail
    return f"{misfit.detail} The DM's own words, to be kept as far as they still hold: {ruling.text}"
