"""Something happens in the story by itself."""

from games.handlers.telling import tell
from games.jobtypes import Applied, StoryEvent
from jobs.context import JobContext
from jobs.results import Rejected


def run(ctx: JobContext, event: StoryEvent) -> Applied | Rejected:
    """See ``tell``. Events that came due together are told as one turn."""
    return tell(ctx, event)
