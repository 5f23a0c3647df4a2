"""What tests of the story do and look at."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User

from approvals.models import Approval
from approvals.operations import decide
from games.models import Game
from games.operations import act
from jobs.models import Job
from jobs.models_events import JobEvent
from jobs.testing import run_until_idle


def ask(user: User, game: Game, text: str = "I open the cellar door", **options: Any) -> Job:
    """A request, as far as it goes without people."""
    job = act(user=user, game=game, text=text, **options)
    run_until_idle()
    return fresh(job)


def rule(user: User, job: Job, decision: str = "accept", **said: Any) -> Job:
    """The request after this decision on its current version, as far as it goes."""
    approval = Approval.objects.get(job=job)
    decide(user=user, approval_id=approval.pk, version=approval.version, decision=decision, **said)
    run_until_idle()
    return fresh(job)


def fresh(job: Job) -> Job:
    return Job.objects.get(pk=job.pk)


def result_of(job: Job) -> dict[str, Any]:
    """What came of the request."""
    assert isinstance(job.result, dict)
    return job.result


def error_of(job: Job) -> dict[str, Any]:
    """What it failed with."""
    assert isinstance(job.error, dict)
    return job.error


def told(game: Game) -> list[tuple[int | None, str, str]]:
    """The game's events: number, name, and the request's status as of it."""
    events = JobEvent.objects.filter(scope__key=game.scope_key).order_by("seq")
    return [(event.seq, event.event, event.status) for event in events]


def event(game: Game, name: str) -> JobEvent:
    """The last event of this name."""
    return JobEvent.objects.filter(scope__key=game.scope_key, event=name).latest("seq")
