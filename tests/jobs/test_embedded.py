"""A worker and a scheduler on threads: what becomes of the process when one of them dies."""

from __future__ import annotations

import threading

import pytest

from jobs.embedded import Embedded
from jobs.scheduler.loop import Scheduler
from jobs.worker.process import Worker


def test_a_worker_that_dies_is_told_of(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    died = threading.Event()

    def explode(worker: Worker) -> bool:
        raise MemoryError

    monkeypatch.setattr(Worker, "work", explode)
    monkeypatch.setattr(Scheduler, "run", lambda _: died.wait(20))
    with Embedded(slots=1, ended=died.set):
        assert died.wait(20)
    assert "the worker ended" in caplog.text


def test_one_that_was_told_to_stop_has_not_died(monkeypatch: pytest.MonkeyPatch) -> None:
    stopped, died = threading.Event(), threading.Event()
    for part in (Worker, Scheduler):
        monkeypatch.setattr(part, "stop", lambda _: stopped.set())
    monkeypatch.setattr(Worker, "work", lambda _: stopped.wait(20))
    monkeypatch.setattr(Scheduler, "run", lambda _: stopped.wait(20))
    with Embedded(slots=1, ended=died.set):
        assert not died.is_set()
    assert not died.is_set()
