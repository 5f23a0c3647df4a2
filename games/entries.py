"""A game's log as people read it: one entry for each request, from its first second to its outcome."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from approvals.models import Approval
from approvals.states import OPEN
from games.jobtypes import CHAT, DM_ACTION, STORY_EVENT
from games.models import Game, Turn
from games.words import change_text
from jobs import lookup
from jobs.errors import NotFound
from jobs.models import Job, JobQuerySet
from jobs.progress import step_of, with_step
from jobs.queries import blocked_by
from jobs.states import RequestStatus

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser, AnonymousUser

PAGE_ENTRIES = 50


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What is shown of a request. ``ahead`` counts the requests before it while it is queued; ``kept``: the queue
    still knows it."""

    request_id: UUID
    kind: str
    status: str
    actor: str
    owner_id: int | None
    text: str
    at: datetime
    outcome: dict[str, Any]
    error: str = ""
    ahead: int | None = None
    blocked_by: dict[str, Any] | None = None
    approval: Approval | None = None
    kept: bool = False
    step: str = ""

    @property
    def by_dm(self) -> bool:
        """Whether these are a DM's own words."""
        return self.kind == DM_ACTION.name

    @property
    def by_story(self) -> bool:
        """Whether it happens by itself."""
        return self.kind == STORY_EVENT.name

    @property
    def chats(self) -> bool:
        """Whether it is said, not done."""
        return self.kind == CHAT.name

    @property
    def said(self) -> str:
        """The words of the one who asked; a DM's that were told are the narration already."""
        return "" if self.by_story or (self.by_dm and "turn" in self.outcome) else self.text

    @property
    def changes(self) -> list[tuple[str, str]]:
        """Each applied change: its path, and what was done there."""
        return [(change["path"], change_text(change)) for change in self.outcome.get("changes", ())]


def page(game: Game, *, before: UUID | None = None) -> tuple[list[Entry], UUID | None]:
    """The latest entries (before one), oldest first, and the id to ask for earlier ones with, if there are any.

    Ordered by arrival, which ids of version 7 keep: an entry stays where it is when it becomes a turn.
    """
    jobs = requests_of(game).order_by("-public_id")
    turns = game.turns.select_related("actor").order_by("-request")
    if before is not None:
        jobs, turns = jobs.filter(public_id__lt=before), turns.filter(request__lt=before)
    shown = {entry.request_id: entry for entry in map(_of_turn, turns[: PAGE_ENTRIES + 1])}
    shown |= {entry.request_id: entry for entry in _of_jobs(jobs[: PAGE_ENTRIES + 1])}
    latest = sorted(shown.values(), key=lambda entry: entry.request_id, reverse=True)
    entries = latest[:PAGE_ENTRIES][::-1]
    return entries, entries[0].request_id if len(latest) > PAGE_ENTRIES else None


def one(game: Game, request_id: UUID) -> Entry:
    """The entry of this request of the game; ``NotFound`` if it has none."""
    job = lookup.one(requests_of(game).filter(public_id=request_id))
    if job is not None:
        return _of_jobs([job])[0]
    turn = lookup.one(game.turns.select_related("actor").filter(request=request_id))
    if turn is None:
        raise NotFound("there is no such request")
    return _of_turn(turn)


def requests_of(game: Game) -> JobQuerySet:
    """The game's requests, with what an entry needs."""
    return with_step(Job.objects.roots().in_scope(game.scope_key).select_related("owner", "lane", "scope"))


def waiting(user: AbstractBaseUser | AnonymousUser, games: Iterable[Game]) -> dict[str, int]:
    """How many drafts wait for this user's decision, by scope key; games without any are left out."""
    mine = Approval.objects.pending().decidable_by(user).filter(scope__key__in=[game.scope_key for game in games])
    found: dict[str, int] = {}
    for key in mine.values_list("scope__key", flat=True):
        found[key] = found.get(key, 0) + 1
    return found


def _of_turn(turn: Turn) -> Entry:
    """A request that the queue has already forgotten."""
    return Entry(
        request_id=turn.request,
        kind=turn.kind,
        status=RequestStatus.COMPLETED.value,
        actor=turn.actor.get_username() if turn.actor else "",
        owner_id=turn.actor_id,
        text=turn.action,
        at=turn.at,
        outcome={"turn": turn.number, "narration": turn.narration, "changes": turn.changes},
    )


def _of_jobs(jobs: Iterable[Job]) -> list[Entry]:
    rows = list(jobs)
    ahead = _ahead([job for job in rows if job.request_status == RequestStatus.QUEUED])
    behind = {job.lane_id: job for job in rows if ahead.get(job.pk)}
    blocks = {lane: blocked_by(job) for lane, job in behind.items()}
    deciding = [job.public_id for job in rows if job.awaiting_approval]
    asked = Approval.objects.filter(request__in=deciding, status__in=OPEN)
    approvals = {approval.request: approval for approval in asked}
    return [
        Entry(
            request_id=job.public_id,
            kind=job.type,
            status=job.request_status.value,
            actor=job.owner.get_username() if job.owner else "",
            owner_id=job.owner_id,
            text=job.payload.get("text", ""),
            kept=True,
            step=step_of(job) if not job.ended else "",
            at=job.created_at,
            outcome=job.result or {},
            error=job.error["detail"] if job.ended and job.error else "",
            ahead=ahead.get(job.pk),
            blocked_by=blocks[job.lane_id] if ahead.get(job.pk) else None,
            approval=approvals.get(job.public_id),
        )
        for job in rows
    ]


def _ahead(queued: Sequence[Job]) -> dict[int, int]:
    """How many unfinished requests are before each of these in its lane, in one query for all."""
    lanes = {job.lane_id for job in queued}
    line = Job.objects.open().filter(lane__in=lanes, place__isnull=False).order_by("place")
    places: dict[int | None, list[int]] = {lane: [] for lane in lanes}
    for lane, pk in line.values_list("lane_id", "pk"):
        places[lane].append(pk)
    return {job.pk: places[job.lane_id].index(job.pk) if job.pk in places[job.lane_id] else 0 for job in queued}
