"""A player acts, and is told what comes of it."""

from games.handlers.telling import tell
from games.jobtypes import Applied, PlayerAction
from jobs.context import JobContext
from jobs.results import Rejected


def run(ctx: JobContext, action: PlayerAction) -> Applied | Rejected:
    """See ``tell``. What is drafted is shown to nobody before it is decided."""
    return tell(ctx, action)
