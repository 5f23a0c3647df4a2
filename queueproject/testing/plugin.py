"""The pytest plugin: ``pytest_plugins = ["queueproject.testing.plugin"]`` in one's ``conftest.py``.

No setting is read before the conftest has run, so that it can set the environment first.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from queueproject.testing.model_server import OpenAIServer
    from queueproject.testing.nursery import Nursery
    from queueproject.testing.processes import Stack
    from queueproject.testing.streams import EventStream


@pytest.hookimpl(tryfirst=True)
def pytest_configure() -> None:
    """Read the settings that the conftest has named: pytest-django sets Django up only where that was done."""
    from django.conf import settings

    if "DJANGO_SETTINGS_MODULE" in os.environ:
        settings.INSTALLED_APPS  # noqa: B018


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """Where the processes of all stacks are forked from."""
    from queueproject.testing.nursery import Nursery

    forks = Nursery()
    yield forks
    forks.close()


@pytest.fixture
def stack(transactional_db: None, nursery: Nursery, tmp_path: Path) -> Iterator[Stack]:
    """Real web, worker and scheduler processes on this test's database and Redis; nothing runs until started."""
    from queueproject.testing.processes import Stack

    processes = Stack(tmp_path, nursery)
    yield processes
    processes.kill_all()
    processes.print_logs()


@pytest.fixture
def worker(stack: Stack) -> Callable[..., Stack]:
    """``worker(SCRIPTED_SECONDS="0")`` starts a worker and a scheduler, with settings; they end with the test."""

    def start(**environment: str) -> Stack:
        stack.start("worker", "scheduler", **environment)
        return stack

    return start


@pytest.fixture
def event_stream() -> Iterator[Callable[..., EventStream]]:
    """``event_stream(url, token, cursor=0)`` reads a stream of events until the test ends."""
    from queueproject.testing.streams import EventStream

    opened: list[EventStream] = []

    def open_stream(url: str, token: str, *, cursor: int | None = None) -> EventStream:
        opened.append(EventStream(url, token, cursor=cursor))
        return opened[-1]

    yield open_stream
    for stream in opened:
        stream.close()


@pytest.fixture
def model_server() -> Iterator[OpenAIServer]:
    """A model on loopback that speaks OpenAI's protocol and misbehaves on demand: ``model_server.will(…)``."""
    from queueproject.testing.model_server import running

    with running() as server:
        yield server
