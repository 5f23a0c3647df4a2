"""A turn is told: a storyteller drafts, a person decides, the game moves on."""

from __future__ import annotations

from games.apply import apply_ruling
from games.jobtypes import Applied, Told
from games.models import scope_key
from games.scene import build_scene
from generation.jobtypes import LLM_REASON
from jobs.context import JobContext
from jobs.results import Rejected


def tell(ctx: JobContext, asked: Told) -> Applied | Rejected:
    """Draft until a decision stands that fits the game as it then is, and apply it.

    A rejection that asks for another draft, and a state that changed meanwhile, go round again with the reason.
    """
    line = (scope_key(asked.game_id),)  # where the events go that this may set off
    reasons: list[str] = []
    n = 0
    while True:
        n += 1
        prompt = ctx.step(f"scene.{n}", build_scene, asked, reasons, n)
        draft = ctx.call(f"draft.{n}", LLM_REASON, **prompt.model_dump(mode="json"))
        ruling = ctx.decide("ruling", draft, version=n)
        if ruling.regenerate:
            reasons.append(ruling.reason)
            continue
        if ruling.decision == "reject":
            return Rejected(reason=ruling.reason)
        seen, notes = prompt.state, draft.notes
        outcome = ctx.commit(f"apply.{n}", apply_ruling, ctx, asked, ruling, seen, notes, lanes=line)
        if isinstance(outcome, Applied):
            return outcome
        reasons.append(outcome.reason)
