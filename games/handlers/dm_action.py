"""A DM acts: told and changed as the DM says, without a storyteller."""

from games.apply import apply_action
from games.jobtypes import Applied, DmAction
from games.models import scope_key
from jobs.context import JobContext


def run(ctx: JobContext, action: DmAction) -> Applied:
    """Apply it at once; a state other than the DM saw fails the request and names what is there now."""
    return ctx.commit("apply", apply_action, ctx, action, lanes=(scope_key(action.game_id),))
