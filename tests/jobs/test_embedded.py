"""A worker and a scheduler on threads: what becomes of the process when one of them dies."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import OperationalError

from jobs.embedded import Embedded
from jobs.models import Worker as WorkerRow
from jobs.models_events import JobEvent
from jobs.operations import leases
from jobs.operations.enqueue import enqueue
from jobs.scheduler.loop import Scheduler
from jobs.worker import completer
from jobs.worker.process import Worker
from jobs.worker.pulse import Pulse
from tests.jobs.kinds import ECHO, Plan
from tests.waiting import wait_until


def test_a_worker_that_dies_is_told_of(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    died = threading.Event()

    def explode(worker: Worker) -> bool:
        raise MemoryError

    monkeypatch.setattr(Worker, "work", explode)
    monkeypatch.setattr(Scheduler, "run", lambda _: died.wait(20))
    with Embedded(slots=1, ended=died.set) as embedded:
        assert died.wait(20)
    assert embedded.died
    assert "the worker ended" in caplog.text


def test_one_that_was_told_to_stop_has_not_died(monkeypatch: pytest.MonkeyPatch) -> None:
    stopped, died = threading.Event(), threading.Event()
    for part in (Worker, Scheduler):
        monkeypatch.setattr(part, "stop", lambda _: stopped.set())
    monkeypatch.setattr(Worker, "work", lambda _: stopped.wait(20))
    monkeypatch.setattr(Scheduler, "run", lambda _: stopped.wait(20))
    with Embedded(slots=1, ended=died.set) as embedded:
        assert not died.is_set()
    assert not died.is_set()
    assert not embedded.died


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_starts_while_the_database_is_away_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    away = [OperationalError("the connection was refused")] * 2
    register = leases.register

    def refused_twice(**worker: Any) -> WorkerRow:
        if away:
            raise away.pop()
        return register(**worker)

    monkeypatch.setattr(leases, "register", refused_twice)
    with Embedded(slots=1) as embedded:
        wait_until(WorkerRow.objects.exists)
    assert not embedded.died


@pytest.mark.django_db(transaction=True)
def test_one_that_never_had_a_database_stops_when_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = threading.Event()

    def refused(**_: Any) -> WorkerRow:
        asked.set()
        raise OperationalError("the connection was refused")

    monkeypatch.setattr(leases, "register", refused)
    with Embedded(slots=1) as embedded:
        assert asked.wait(20)
    assert not embedded.died


def defect(*_: Any) -> None:
    raise ValueError("a defect")


@contextmanager
def dying() -> Iterator[None]:
    """A worker and a scheduler on threads, one of which ends without being told to."""
    died = threading.Event()
    with Embedded(slots=1, ended=died.set) as embedded:
        yield
        assert died.wait(20)
    assert embedded.died


@pytest.mark.django_db(transaction=True)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_worker_that_stores_no_ends_any_more_hands_its_jobs_back_and_ends(
    config: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    config(poll_seconds=0.05)
    monkeypatch.setattr(completer, "settle_alone", defect)
    with dying():
        job = enqueue(ECHO, Plan())
    assert [*JobEvent.objects.filter(job=job).order_by("pk").values_list("event", flat=True)][1:] == [
        "job.started",
        "job.released",
    ]


@pytest.mark.django_db(transaction=True)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_worker_whose_heart_no_longer_beats_ends(
    config: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    config(poll_seconds=0.05)
    monkeypatch.setattr(Pulse, "_beat", defect)
    with dying():
        pass
