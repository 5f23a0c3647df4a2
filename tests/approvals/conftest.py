"""A fixed cast: a player and two who decide at a table, one who decides at another, and a stranger."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib.auth.models import User

from approvals.models import Approval
from jobs import registry
from jobs.models import Job
from jobs.registry import JobType
from tests.approvals.tables import Table, Tables, approval_of, job_type, speak


@dataclass(frozen=True)
class Cast:
    player: User
    dm: User
    dm2: User
    other_dm: User
    stranger: User


@pytest.fixture
def cast(transactional_db: None) -> Cast:
    names = ("player", "dm", "dm2", "other_dm", "stranger")
    return Cast(**{name: User.objects.create(username=name) for name in names})


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> Tables:
    tables = Tables()
    monkeypatch.setattr(registry, "_scopes", {"table": tables})
    return tables


@pytest.fixture
def table(tables: Tables, cast: Cast) -> Table:
    tables.add(Table("table:other", players=[cast.stranger], deciders=[cast.other_dm]))
    return tables.add(Table("table:one", players=[cast.player], deciders=[cast.dm, cast.dm2]))


@pytest.fixture
def kind(monkeypatch: pytest.MonkeyPatch) -> JobType:
    monkeypatch.setattr(registry, "_job_types", dict(registry.versions()))
    return job_type()


@pytest.fixture
def say(kind: JobType, table: Table, cast: Cast) -> Callable[..., Job]:
    """``say(text=…, draft=…)``: the job that now waits for a decision."""

    def say(**said: Any) -> Job:
        return speak(kind, table, cast.player, **said)

    return say


@pytest.fixture
def approval(say: Callable[..., Job]) -> Approval:
    """A pending approval of one draft with one change."""
    return approval_of(say(changes=[{"path": "door", "op": "set", "value": "open", "was": "shut"}]))
