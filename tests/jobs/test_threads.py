"""Handlers' threads: none is woken that is not needed, and none is missed that is."""

from __future__ import annotations

import threading
from collections import Counter

import pytest

from jobs.worker.threads import Threads
from tests.waiting import wait_until


def test_those_that_block_run_at_once() -> None:
    meeting = threading.Barrier(20)
    met = Counter[str]()

    def run(task: int) -> None:
        meeting.wait(timeout=10)
        met[threading.current_thread().name] += 1

    threads = Threads(20, run, name="slot")
    for task in range(20):
        threads.submit(task)
    wait_until(lambda: met.total() == 20, what="all of them, together")
    assert len(met) == 20
    threads.close()


def test_there_are_never_more_than_asked_for() -> None:
    running = Counter[int]()
    most: list[int] = []
    done: list[int] = []

    def run(task: int) -> None:
        running[task] += 1
        most.append(running.total())
        threading.Event().wait(0.005)
        running[task] -= 1
        done.append(task)

    threads = Threads(3, run, name="slot")
    for task in range(30):
        threads.submit(task)
    wait_until(lambda: len(done) == 30, what="all of them")
    assert max(most) == 3
    threads.close()


def test_short_ones_are_worked_off_without_a_thread_for_each() -> None:
    names = Counter[str]()
    gate = threading.Event()

    def run(task: int) -> None:
        if task == 0:
            gate.wait(timeout=10)
        names[threading.current_thread().name] += 1

    threads = Threads(50, run, name="slot")
    for task in range(500):
        threads.submit(task)
    gate.set()
    wait_until(lambda: names.total() == 500, what="all of them")
    assert len(names) < 25
    threads.close()


def test_a_task_that_fails_costs_no_thread(caplog: pytest.LogCaptureFixture) -> None:
    done: list[int] = []

    def run(task: int) -> None:
        if task == 0:
            raise ValueError("a defect")
        done.append(task)

    threads = Threads(1, run, name="slot")
    threads.submit(0)
    threads.submit(1)
    wait_until(lambda: done == [1], what="the next")
    assert "a defect" in caplog.text
    threads.close()


def test_they_end_when_closed_and_leave_what_has_not_begun() -> None:
    gate = threading.Event()
    done: list[int] = []

    def run(task: int) -> None:
        gate.wait(timeout=10)
        done.append(task)

    threads = Threads(1, run, name="closing")
    threads.submit(0)
    threads.submit(1)
    wait_until(lambda: any(each.name.startswith("closing") for each in threading.enumerate()), what="the thread")
    threads.close()
    gate.set()
    wait_until(lambda: not any(each.name.startswith("closing") for each in threading.enumerate()), what="its end")
    assert done in ([0], [])
