"""A game's chronicle: what has happened since the last chapter, and the chapter that is made of it."""

from __future__ import annotations

from django.db.models import Max
from pydantic import BaseModel

from games.jobtypes import Published
from games.models import Chapter, Game
from games.scene import feedback_of, most_room, shortened, taken, told
from generation.drafts import Draft
from generation.prompts import Prompt
from jobs.context import JobContext
from jobs.errors import PermanentError
from jobs.results import Ruling

CHRONICLER = "the chronicler"
TITLE_CHARACTERS = 100
SHARE = 8
"""An outline takes at most this part of a prompt's room."""
MOST_TURNS = 200
"""The most turns of one chapter; what is left is for the next."""


class Gathered(BaseModel):
    """What the next chapter is about: its number, the turns it tells, and these as text."""

    number: int
    first: int
    last: int
    scene: str


def gather(scope_key: str) -> Gathered | None:
    """The turns that no chapter tells yet, as many as there is room for; ``None`` if there are none."""
    game = _game(scope_key)
    last, number = _so_far(game)
    first = last + 1
    room = most_room() // 2  # the outline and the task are to fit beside it
    scene = [shortened(game.opening, room // 2)]
    room -= taken(scene[0])
    for turn in game.turns.select_related("actor").filter(number__gt=last).order_by("number")[:MOST_TURNS]:
        text = told(turn)
        if taken(text) > room:
            if last >= first:
                break
            text = shortened(text, room)
        scene.append(text)
        room -= taken(text)
        last = turn.number
    if last < first:
        return None
    return Gathered(number=number + 1, first=first, last=last, scene="\n\n".join(scene))


def outline_prompt(gathered: Gathered, wish: str) -> Prompt:
    """Asks for a title and what the chapter will tell, in order."""
    task = _with_wish(f"Outline chapter {gathered.number}.", wish)
    return Prompt(kind="outline", scene=gathered.scene, state={}, actor=CHRONICLER, action=task)


def chapter_prompt(gathered: Gathered, outline: Draft, reasons: list[str], wish: str) -> Prompt:
    """Asks for the chapter by its outline; ``reasons`` say what was wrong with those before."""
    task = f"Write the chapter by this outline: {shortened(outline.text, most_room() // SHARE)}"
    feedback = feedback_of(reasons)
    return Prompt(
        kind="chapter",
        scene=gathered.scene,
        state={},
        actor=CHRONICLER,
        action=_with_wish(task, wish),
        feedback=feedback,
        round=len(reasons) + 1,
    )


def publish(ctx: JobContext, scope_key: str, gathered: Gathered, title: str, ruling: Ruling) -> Published:
    """Make it a chapter. ``PermanentError`` if another one has told these turns meanwhile."""
    game = Game.objects.select_for_update().filter(scope_key=scope_key).first() or _game(scope_key)
    told, number = _so_far(game)
    if told >= gathered.first:
        raise PermanentError("told_already", f"turns up to {told} are told in chapter {number} by now")
    chapter = Published(
        chapter=number + 1, title=title or f"Chapter {number + 1}", first_turn=gathered.first, last_turn=gathered.last
    )
    Chapter.objects.create(
        game=game,
        number=chapter.chapter,
        title=chapter.title,
        text=ruling.text,
        first_turn=gathered.first,
        last_turn=gathered.last,
        request=ctx.request_id,
    )
    ctx.emit("game.chapter_published", {"chapter": chapter.chapter, "title": chapter.title})
    return chapter


def title_of(outline: Draft) -> str:
    """The outline's first line, if it is one."""
    first, _, rest = outline.text.partition("\n")
    title = first.strip().strip('#*"“” ').removeprefix("Title:").strip()
    return title if rest.strip() and len(title) <= TITLE_CHARACTERS else ""


def _game(scope_key: str) -> Game:
    game = Game.objects.filter(scope_key=scope_key).first()
    if game is None:
        raise PermanentError("game_gone", "the game no longer exists")
    return game


def _so_far(game: Game) -> tuple[int, int]:
    """The last turn that is told, and the number of the last chapter."""
    found = game.chapters.aggregate(turn=Max("last_turn"), number=Max("number"))
    return found["turn"] or 0, found["number"] or 0


def _with_wish(task: str, wish: str) -> str:
    return f"{task} Dwell on this: {wish}" if wish else task
