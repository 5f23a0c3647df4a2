"""A member says something, and the storyteller answers."""

from games.handlers.telling import tell
from games.jobtypes import Applied, Chat
from jobs.context import JobContext
from jobs.results import Rejected


def run(ctx: JobContext, message: Chat) -> Applied | Rejected:
    """See ``tell``."""
    return tell(ctx, message)
