"""SQLite has one writer at a time: a process that is paused while it writes stops the others meanwhile."""

from __future__ import annotations

import os
import signal

import pytest
from django.db import connection
from django.test import Client

from jobs import invariants
from jobs.models import Job
from jobs.operations.enqueue import enqueue
from jobs.states import FINAL
from tests.cast import Cast
from tests.processes import Stack
from tests.proof.kinds import WHOLE, Plan
from tests.proof.test_failpoints import ENVIRONMENT, is_stopped
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL locks rows"),
]


@pytest.mark.parametrize("ends_by", [signal.SIGCONT, signal.SIGKILL])
def test_whoever_asks_meanwhile_is_told_to_come_again_and_nothing_is_lost(
    stack: Stack, cast: Cast, ends_by: signal.Signals
) -> None:
    enqueue(WHOLE, Plan(text="first"), scope="test:1")
    headers = cast.bearer(cast.player1) | {"Idempotency-Key": "k"}
    stack.start("scheduler", "worker", **ENVIRONMENT, STOP="in_step:one")
    pid = stack.pid("worker")
    wait_until(lambda: is_stopped(pid), timeout=60)
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout = 200")

    def ask() -> int:
        path, body = f"/v1/games/{cast.game.pk}/actions", {"text": "I knock"}
        return Client().post(path, body, content_type="application/json", headers=headers).status_code

    assert ask() == 503
    assert Job.objects.count() == 1, "reading goes on, and of what was refused nothing is there"
    os.kill(pid, ends_by)
    wait_until(lambda: ask() == 200)
    stack.start("worker.2", STOP="")
    wait_until(lambda: Job.objects.filter(type=WHOLE.name, status__in=FINAL).exists(), timeout=60)
    assert Job.objects.roots().count() == 2, "asked for with the same key until it was heard"
    assert Job.objects.get(type=WHOLE.name).result == "FIRST"
    assert invariants.broken(liveness=False) == {}
