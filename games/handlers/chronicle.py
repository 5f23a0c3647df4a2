"""A chapter of the chronicle, in five steps; and the night in which one is begun in every game."""

from __future__ import annotations

from uuid import UUID

from games.chronicle import Gathered, chapter_prompt, gather, outline_prompt, publish, title_of
from games.jobtypes import Chronicle, Night, Published
from games.nightly import start_chapters
from generation.jobtypes import LLM_REASON
from jobs.context import JobContext
from jobs.errors import HandlerMisuse
from jobs.results import Rejected

NOTHING_NEW = "Nothing has happened since the last chapter."


def run(ctx: JobContext, wanted: Chronicle) -> Published | Rejected:
    """Gather the turns, outline, write, have it confirmed, publish. Whoever confirms may ask for another draft."""
    if ctx.job.scope is None:
        raise HandlerMisuse("a chronicle belongs to a game: start it as a workflow")
    place = ctx.job.scope.key
    gathered: Gathered | None = ctx.step("gather", gather, place)
    if gathered is None:
        return Rejected(reason=NOTHING_NEW)
    outline = ctx.call("outline", LLM_REASON, **outline_prompt(gathered, wanted.text).model_dump(mode="json"))
    reasons: list[str] = []
    while True:
        n = len(reasons) + 1
        prompt = chapter_prompt(gathered, outline, reasons, wanted.text)
        draft = ctx.call("write" if n == 1 else f"write.{n}", LLM_REASON, **prompt.model_dump(mode="json"))
        ruling = ctx.confirm("confirm", draft, version=n)
        if not ruling.regenerate:
            break
        reasons.append(ruling.reason)
    if ruling.decision == "reject":
        return Rejected(reason=ruling.reason)
    return ctx.commit("publish", publish, ctx, place, gathered, title_of(outline), ruling)


def night(ctx: JobContext, wanted: Night) -> int:
    """Begin a chapter in every game in which something has happened; how many."""
    begun, after, n = 0, UUID(int=0), 0
    while True:
        n += 1
        batch = ctx.commit(f"batch.{n}", start_chapters, after, wanted.automation)
        begun += batch.begun
        if batch.next is None:
            return begun
        after = batch.next
