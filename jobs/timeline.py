"""What has happened to a request, as the people see it who may see it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jobs.models import Job
from jobs.models_events import JobEvent

MOST_EVENTS = 200
"""The latest so many are shown."""

WORDS = {
    "request.queued": "asked",
    "request.processing": "begun",
    "llm.processing": "a language model writes",
    "approval.required": "a person is asked",
    "approval.versioned": "another draft is there",
    "approval.decided": "decided",
    "approval.undone": "the decision was taken back",
    "approval.expired": "nobody decided in time",
    "approval.withdrawn": "nobody is asked any more",
    "game.state_updated": "the game moved on",
    "game.chapter_published": "the chronicle has another chapter",
    "story.triggered": "it set off events of the story",
    "request.completed": "done",
    "request.rejected": "refused",
    "request.failed": "failed",
    "request.cancelled": "called off",
}
STEP = "workflow.step."


@dataclass(frozen=True)
class Happened:
    """One event in words; ``private`` is for those who decide."""

    at: datetime
    event: str
    words: str
    private: str = ""


def timeline(job: Job, *, decides: bool, told: bool = True) -> list[Happened]:
    """The latest events of the request's own stream, in order; those that only deciders may see are for them.

    With ``told`` false only that they happened, for staff who may see no more.
    """
    numbered = JobEvent.objects.filter(job=job, seq__isnull=False).order_by("-id")[:MOST_EVENTS]
    if not told:
        return [Happened(event.at, event.event, WORDS.get(event.event, event.event)) for event in reversed(numbered)]
    return list(_told(reversed(numbered), decides=decides))


def _told(events: Iterator[JobEvent], *, decides: bool) -> Iterator[Happened]:
    for event in events:
        if event.data is not None or decides:
            private = _private(event.private or {}) if decides else ""
            yield Happened(event.at, event.event, _words(event.event, event.data or {}), private)


def _words(event: str, data: dict[str, Any]) -> str:
    if event.startswith(STEP):
        what, message = event.removeprefix(STEP), data.get("message", "")
        words = {"started": "begins", "completed": "done", "failed": "failed"}.get(what, "")
        said = ": ".join(filter(None, [words, message]))
        return f"{data.get('title', '')} ({data.get('index')} of {data.get('total')}): {said}"
    told = [str(data[key]) for key in ("decision", "reason") if data.get(key)]
    return ": ".join([WORDS.get(event, event), *told])


def _private(private: dict[str, Any]) -> str:
    by, reason = private.get("by"), private.get("reason")
    return ", ".join(filter(None, [f"by {by}" if by else "", str(reason) if reason else ""]))
