"""A scope with players and deciders, and a job that asks them: what approvals need of the rooms around them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import QuerySet
from pydantic import BaseModel

from approvals.models import Approval
from jobs.changes import Change
from jobs.context import JobContext
from jobs.models import Job, Lane
from jobs.models_events import JobEvent
from jobs.operations.enqueue import enqueue
from jobs.registry import DecisionPolicy, JobType
from jobs.results import Rejected
from jobs.testing import run_until_idle

POLICY = DecisionPolicy(ask=True, due_seconds=600, default="reject", default_reason="no decision in time")


@dataclass
class Table:
    """Who sits at it, and how it wants decisions taken."""

    key: str
    players: list[User] = field(default_factory=list)
    deciders: list[User] = field(default_factory=list)
    policy: DecisionPolicy = POLICY

    def wants(self, **policy: Any) -> None:
        self.policy = replace(self.policy, **policy)


class Tables:
    """Fills ``jobs.registry.ScopeRules`` for the kind ``table``."""

    def __init__(self) -> None:
        self.tables: dict[str, Table] = {}

    def add(self, table: Table) -> Table:
        self.tables[table.key] = table
        Lane.objects.get_or_create(key=table.key)
        return table

    def label(self, key: str) -> str:
        return f"Table <b>{key}</b>"

    def may_see(self, user: Any, key: str) -> bool:
        return user in [*self.tables[key].players, *self.tables[key].deciders]

    def may_decide(self, user: Any, key: str) -> bool:
        return user in self.tables[key].deciders

    def visible(self, user: Any) -> QuerySet[Lane, Any]:
        return self._keys(key for key in self.tables if self.may_see(user, key))

    def decidable(self, user: Any) -> QuerySet[Lane, Any]:
        return self._keys(key for key in self.tables if self.may_decide(user, key))

    def decider_online(self, key: str) -> bool:
        return False

    def policy(self, key: str) -> DecisionPolicy:
        return self.tables[key].policy

    @staticmethod
    def _keys(keys: Iterable[str]) -> QuerySet[Lane, Any]:
        """Rows that hold the keys, as a game's row holds its own; a scope's row comes with its first event."""
        return Lane.objects.filter(key__in=list(keys)).values("key")


class Talk(BaseModel):
    """What somebody says at a table. ``state_changes``: how often applying finds a changed state."""

    text: str = "I open the door"
    draft: str = "The door creaks open."
    changes: list[Change] = []
    notes: list[str] = []
    state_changes: int = 0


class Draft(BaseModel):
    text: str
    changes: list[Change] = []
    notes: list[str] = []
    model: str = "test-model"


class Told(BaseModel):
    """What became of a draft."""

    text: str
    changes: list[str]
    by: str


def job_type() -> JobType:
    """Declared anew for each test, in the test's own registry."""
    return JobType(name="talk", queue="system", payload=Talk, result=Told | Rejected, handler=f"{__name__}:talk")


def talk(ctx: JobContext, said: Talk) -> Told | Rejected:
    """Drafts, asks, and drafts again as often as it is asked to or the state has changed."""
    feedback, state_changes = "", said.state_changes
    for n in count(1):
        text = f"{said.draft} ({feedback})" if feedback else said.draft
        ruling = ctx.decide("ruling", Draft(text=text, changes=said.changes, notes=said.notes), version=n)
        if ruling.regenerate:
            feedback = ruling.reason
        elif ruling.decision == "reject":
            return Rejected(reason=ruling.reason)
        elif state_changes:
            state_changes -= 1
            feedback = "the state changed"
        else:
            return Told(text=ruling.text, changes=[change.path for change in ruling.changes], by=ruling.by)
    raise AssertionError


def speak(kind: JobType, table: Table, player: User, **said: Any) -> Job:
    """A player says something; the job runs until it waits for a decision, or to its end."""
    job = enqueue(kind, Talk(**said), owner=player, scope=table.key)
    run_until_idle()
    job.refresh_from_db()
    return job


def approval_of(job: Job) -> Approval:
    return Approval.objects.get(job=job)


def finished(approval: Approval) -> Job:
    """Its job, after everything has run that can."""
    run_until_idle()
    return Job.objects.get(approvals=approval)


def result(approval: Approval) -> Any:
    """What its job resulted in, after everything has run that can."""
    return finished(approval).result


def told(job: Job) -> list[tuple[str, str]]:
    """The numbered events of the job's request, each with the status it told."""
    events = JobEvent.objects.filter(request=job.public_id, seq__isnull=False).order_by("seq")
    return list(events.values_list("event", "status"))


def event(job: Job, name: str) -> JobEvent:
    """The last event of this name."""
    found = JobEvent.objects.filter(request=job.public_id, event=name).order_by("-id").first()
    assert found is not None, f"no {name}"
    return found


def history(approval: Approval) -> list[tuple[int, str, str, str]]:
    """Version, kind, decision and author of each entry."""
    return list(approval.decisions.values_list("version", "kind", "decision", "by_label"))


def unknown_id() -> UUID:
    return UUID("01900000-0000-7000-8000-000000000000")
